package core_test

import (
	"testing"
	"time"

	"laneway.dev/services/replicator/core"
)

func TestLossBelowSnapshotIsReadOnlyUntilRestored(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 1))
	o.step(core.Scrubbed{Damage: "entry 1 cannot be read"})
	o.step()
	o.settle()
	o.expectDamage("entry 1 cannot be read")
	w.pass(10 * time.Second) // it is looked at again, and is as it was
	o.step()
	o.step()
	o.settle()
	if s := o.core.Stats(); s.Leading || len(o.damage) != 1 {
		t.Fatalf("when the log was read again: %+v, damage %q", s, o.damage)
	}
	o.step(core.Scrubbed{})
	o.step()
	o.settle()
	if s := o.core.Stats(); !s.Leading || s.Damage != "" {
		t.Errorf("after the entries were restored: %+v", s)
	}
}

func TestScrubResultWaitsForAppend(t *testing.T) {
	w, o := newMarked(t)
	o.step(release(batch("a", 1)))
	if o.append == nil {
		t.Fatal("nothing is appended")
	}
	o.step(core.Scrubbed{Damage: "entry 1 cannot be read"})
	o.ack()
	o.step()
	o.settle()
	o.expect(ok("a", 1, 0))
	w.pass(time.Second)
	o.step()
	o.expectDamage("entry 1 cannot be read")
}

func TestEntriesBelowSnapshotAreScrubbed(t *testing.T) {
	w := newWorld(t)
	w.settings.SnapshotEvery = 2
	first := w.leader("first")
	first.commit(batch("a", 1))
	first.commit(batch("a", 2))
	if first.scrub != nil {
		t.Fatalf("an owner that has read everything asks for %+v", first.scrub)
	}
	o := w.leader("second")
	if o.scrub == nil || o.scrub.To == 0 || o.scrub.After != 0 {
		t.Fatalf("asked for %+v", o.scrub)
	}
	want := core.Scrub{From: 1, To: o.scrub.To, After: 10 * time.Second}
	for _, answer := range []core.Scrubbed{{Failed: true}, {Damage: "entry 1 cannot be read"}} {
		o.scrub = nil
		o.step(answer)
		if o.scrub == nil || *o.scrub != want {
			t.Fatalf("after %+v: %+v, want %+v", answer, o.scrub, want)
		}
	}
	o.scrub = nil
	o.step(core.Scrubbed{})
	if o.scrub != nil {
		t.Errorf("scrubbed again: %+v", o.scrub)
	}
}
