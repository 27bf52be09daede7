package core_test

import (
	"testing"
	"time"

	"laneway.dev/services/replicator/core"
)

const older = "its log is older than the object store"

func TestALogThatIsBehindIsReadOnlyUntilItIsNot(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 1))
	o.step(core.Behind{Reason: older})
	o.step()
	o.settle()
	o.expectDamage(older)
	for range 3 {
		w.pass(10 * time.Second) // it is read again, and is as it was
		o.step(release(batch("a", 2)))
		o.step()
		o.settle()
		if s := o.core.Stats(); s.Leading || s.Damage != older || len(o.damage) != 1 || o.append != nil {
			t.Fatalf("when the log was read again: %+v, damage %q", s, o.damage)
		}
	}
	end := w.end()
	o.step(core.Behind{})
	o.step()
	o.settle()
	if s := o.core.Stats(); !s.Leading || s.Damage != "" {
		t.Fatalf("after it is behind no more: %+v", s)
	}
	o.commit(batch("a", 2))
	if w.end() <= end {
		t.Error("nothing is appended")
	}
}

func TestAnOwnerThatStartsTakesNoBatchesForALogThatIsBehind(t *testing.T) {
	w, first := newMarked(t)
	first.commit(batch("a", 1))
	o := w.start("second")
	o.step(core.Behind{Reason: older})
	o.settle()
	o.expectDamage(older)
	if end := len(w.log); w.log[end-1].Entry.Owner == "second" {
		t.Error("it has claimed the log")
	}
}

func TestAnAppendUnderWayEndsBeforeALogIsReadOnly(t *testing.T) {
	w, o := newMarked(t)
	o.step(release(batch("a", 1)))
	if o.append == nil {
		t.Fatal("nothing is appended")
	}
	o.step(core.Behind{Reason: older})
	o.ack()
	o.step()
	o.settle()
	o.expect(ok("a", 1, 0))
	w.pass(time.Second)
	o.step()
	o.expectDamage(older)
}

func TestAnotherReasonWhyALogIsBehindReplacesTheFirst(t *testing.T) {
	_, o := newMarked(t)
	for _, reason := range []string{older, older, "another reason"} {
		o.step(core.Behind{Reason: reason})
		o.step()
		o.settle()
		if got := o.core.Stats().Damage; got != reason {
			t.Errorf("the damage is %q, want %q", got, reason)
		}
	}
	if len(o.damage) != 2 {
		t.Errorf("reported are %q", o.damage)
	}
}
