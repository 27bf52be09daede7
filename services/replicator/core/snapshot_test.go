package core_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
)

// newSaver returns a world whose owners save a snapshot behind every entry, and
// the first of them.
func newSaver(t *testing.T) (*world, *owner) {
	w := newWorld(t)
	w.settings.SnapshotEvery = 1
	o := w.leader("first")
	return w, o
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

func TestSnapshotKeepsOffsetsOfTickets(t *testing.T) {
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
	expectAsked(t, o, "c", 1) // no lane was evicted, so it starts at the beginning
}

func TestSnapshotDuringAppendIsUsable(t *testing.T) {
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

func TestSnapshotIsMadeAtInterval(t *testing.T) {
	w := newWorld(t)
	w.settings.SnapshotEvery = 5
	o := w.leader("first")
	for n := uint64(1); n <= 20; n++ {
		o.commit(batch("a", n))
	}
	if n := o.core.Stats().Snapshots; n != 4 {
		t.Errorf("%d snapshots of 21 entries", n)
	}
	if all := w.stored(); len(all) != 2 || all[0].Sequence != 20 || all[1].Sequence != 15 {
		t.Errorf("%d snapshots are kept, the newest covers entry %d", len(all), all[0].Sequence)
	}
}

func TestSnapshotOmitsFlight(t *testing.T) {
	w, o := newSaver(t)
	o.step(release(named(batch("a", 1), "x"), of(7, 1, 0)))
	o.step(release(named(batch("a", 2), "y"), of(7, 2, 1), inEpoch(4, of(8, 1, 0))), fence(9, 2))
	o.ack() // the second release and the fence are under way
	s := w.stored()[0]
	if s.NextOffset != 3 || s.LastMessageID != "" || len(s.MessageIDs) != 1 || s.MessageIDs[0].ID != "x" {
		t.Errorf("the log ends at %d with id %q, the ids are %+v", s.NextOffset, s.LastMessageID, s.MessageIDs)
	}
	if len(s.Producers) != 1 || s.Producers[0].ProducerID != 7 || len(s.Producers[0].Batches) != 1 {
		t.Errorf("the producers are %+v", s.Producers)
	}
	for _, l := range s.Lanes {
		if l.Lane == "i:8" && l.Settled != 0 || l.Lane != "i:8" && (l.Settled != 1 || len(l.Done) != 0) {
			t.Errorf("lane %+v", l) // 1 is resolved, says the floor of 2
		}
	}
}

func TestSaveSurvivesFailedAppend(t *testing.T) {
	w, o := newSaver(t)
	o.saving = true
	o.commit(of(7, 1, 0))
	o.step(release(of(7, 2, 1)))
	late := o.loseAppend()
	o.answerRead()
	if _, landed := w.land(late); !landed {
		t.Fatal("nothing should be in the way of the late append")
	}
	o.settle()
	o.finishSave()
	next := w.recovered("second", uint64(len(w.log)))
	next.step(release(of(7, 3, 0), of(7, 4, 1)))
	next.expect(duplicate("i:7", 3, 0), duplicate("i:7", 4, 1))
}

func TestSnapshotDependsOnNoMap(t *testing.T) {
	w := newWorld(t)
	w.settings.SnapshotEvery = 2
	o := w.leader("first")
	var all []messages.StagedBatch
	for i := range 100 {
		all = append(all, batch(fmt.Sprint("lane-", i), 1), of(int64(i)+1, 1, 0))
	}
	o.commit(all...)
	o.commit(batch("last", 1))
	kept := w.stored()
	if len(kept) == 0 || len(kept[0].Lanes) < 200 || len(kept[0].Producers) != 100 {
		t.Fatalf("there is no snapshot of all lanes and producers: %d snapshots", len(kept))
	}
	if !slices.IsSortedFunc(kept[0].Lanes, func(a, b messages.SnapshotLane) int { return cmp.Compare(a.Lane, b.Lane) }) {
		t.Error("lanes are not in the order of their names")
	}
	if !slices.IsSortedFunc(kept[0].Producers, func(a, b messages.SnapshotProducer) int { return cmp.Compare(a.ProducerID, b.ProducerID) }) {
		t.Error("producers are not in the order of their ids")
	}
}
