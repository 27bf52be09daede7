package replicator_test

import (
	"testing"
	"time"
)

// newSaver returns a world whose owners save a snapshot behind every entry, and
// the first of them.
func newSaver(t *testing.T) (*world, *owner) {
	w := newWorld(t)
	w.settings.SnapshotEvery = 1
	return w, w.leader("first")
}

// recovered starts a new owner, which must read no more than so many entries.
func (w *world) recovered(name string, most uint64) *owner {
	w.t.Helper()
	o := w.leader(name)
	if n := o.core.Stats().Replayed; n > most {
		w.t.Fatalf("%s read %d entries, with a snapshot %d are enough", name, n, most)
	}
	return o
}

func TestTicketsBehindASnapshotKeepTheirOffsetsWhenTheLogGoesOn(t *testing.T) {
	w, o := newSaver(t)
	o.commit(batches("a", 1, 3)...)
	w.settings.SnapshotEvery = 1 << 40
	o = w.recovered("second", 1)
	o.commit(batch("b", 4))

	o = w.recovered("third", 3)
	o.step(release(batches("a", 1, 3)...))
	o.expect(ok("a", 1, 0), ok("a", 2, 2), ok("a", 3, 5))
	if o.append != nil {
		t.Fatal("a repetition is appended, or refused behind a barrier")
	}
	o.step(release(floored(batch("c", 2), 1)))
	expectAsked(t, o, "c", 1) // no lane was evicted, so there is no watermark
}

func TestSnapshotMadeWhileAnAppendIsUnderWayCanBeUsed(t *testing.T) {
	w, o := newSaver(t)
	o.step(release(batch("a", 1)))
	w.pass(time.Second)
	o.step(release(batch("a", 2)))
	o.ack() // the next append starts in the turn in which the snapshot is made
	w.pass(time.Second)
	o = w.recovered("second", 0)
	o.commit(batch("a", 2))
	o.expect(ok("a", 2, 2))
	w.expectNumbers("a", 1, 2)
}
