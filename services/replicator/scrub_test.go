package replicator_test

import (
	"testing"
	"time"

	"laneway.dev/services/replicator"
)

func TestALogThatHasLostWhatASnapshotCoversIsReadOnlyUntilItIsThere(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 1))
	o.step(replicator.Scrubbed{Damage: "entry 1 cannot be read"})
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
	o.step(replicator.Scrubbed{})
	o.step()
	o.settle()
	if s := o.core.Stats(); !s.Leading || s.Damage != "" {
		t.Errorf("after the entries were restored: %+v", s)
	}
}

func TestAScrubThatFindsDamageWaitsForTheAppendUnderWay(t *testing.T) {
	w, o := newMarked(t)
	o.step(release(batch("a", 1)))
	if o.append == nil {
		t.Fatal("nothing is appended")
	}
	o.step(replicator.Scrubbed{Damage: "entry 1 cannot be read"})
	o.ack()
	o.step()
	o.settle()
	o.expect(ok("a", 1, 0))
	w.pass(time.Second)
	o.step()
	o.expectDamage("entry 1 cannot be read")
}
