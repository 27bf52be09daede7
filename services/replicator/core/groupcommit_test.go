package core_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
)

// sizes returns how many batches each entry of the log holds that holds any.
func (w *world) sizes() []int {
	var all []int
	for _, e := range w.log {
		if n := len(e.Entry.Batches); n > 0 {
			all = append(all, n)
		}
	}
	return all
}

func (w *world) expectSizes(want ...int) {
	w.t.Helper()
	if got := w.sizes(); fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Fatalf("the entries hold %v batches, want %v", got, want)
	}
}

func TestWaitingBatchesShareAnEntry(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1)))
	for n := uint64(1); n <= 20; n++ {
		o.step(release(batch("b", n)), release(batch("c", n))) // step fails if a second append starts
	}
	o.settle()
	w.expectSizes(1, 40)
	if end := w.end(); end != o.core.Stats().NextOffset || end != 84 {
		t.Errorf("the log ends at %d, the owner says %d", end, o.core.Stats().NextOffset)
	}
	if s := o.core.Stats(); s.Entries != 2 || s.Batches != 41 || s.Records != 84 {
		t.Errorf("counted %d entries, %d batches, %d records", s.Entries, s.Batches, s.Records)
	}
}

func TestReleasesOfOneTurnShareAnEntry(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1)), release(batch("b", 1)), release(batch("a", 2)))
	o.settle()
	w.expectSizes(3)
}

func TestEntryIsSplitWhereTheEpochsChange(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("z", 1)))
	o.step(release(batch("a", 1), batch("b", 1)))
	sequencer := release(batch("c", 1))
	sequencer.SequencerEpoch = 2
	frontend := release(batch("a", 1), batch("b", 1))
	frontend.SequencerEpoch, frontend.Epoch = 2, 7
	o.step(sequencer, frontend)
	o.settle()
	w.expectSizes(1, 2, 1, 2)
	var epochs [][2]uint64
	for _, e := range w.log[3:] {
		epochs = append(epochs, [2]uint64{e.Entry.Epoch, e.Entry.SequencerEpoch})
	}
	if fmt.Sprint(epochs) != "[[1 1] [1 2] [7 2]]" {
		t.Errorf("the entries are of the epochs %v", epochs)
	}
	w.end()
}

func TestEntryIsSplitAtItsItemLimit(t *testing.T) {
	w := newWorld(t)
	w.settings.EntryItems = 4
	o := w.leader("first")
	o.commit(batches("a", 1, 10)...)
	w.expectSizes(4, 4, 2)
	w.expectNumbers("a", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	w.end()
}

func TestEntryIsSplitAtItsByteLimit(t *testing.T) {
	w := newWorld(t)
	w.settings.EntryBytes = 4000
	o := w.leader("first")
	var all []messages.StagedBatch
	for _, b := range batches("a", 1, 10) {
		all = append(all, named(b, fmt.Sprintf("%01000d", b.Number)))
	}
	o.step(release(all...))
	for o.append != nil {
		if n := len(o.append.Data); n > w.settings.EntryBytes {
			t.Errorf("an entry of %d bytes", n)
		}
		o.ack()
	}
	w.expectSizes(3, 3, 3, 1)
	w.end()
}

func TestOffsetsAreDenseThroughTermsAndBarriers(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batches("a", 1, 5)...)
	o = w.leader("second")
	o.commit(batches("b", 1, 4)...)
	w.pass(w.settings.LaneExpiry + 2*time.Second)
	o.step()
	o.commit(batch("a", 2)) // a barrier
	o.step(release(batch("c", 9)))
	o.loseAck()
	o.settle()
	o.commit(batch("c", 10))
	if end := w.end(); end != o.core.Stats().NextOffset {
		t.Errorf("the log ends at %d, the owner says %d", end, o.core.Stats().NextOffset)
	}
	w.expectNumbers("c", 9, 10)
}

func TestCommitHasTimeOfRelease(t *testing.T) {
	w, o := newLeader(t)
	start := w.now
	o.step(release(batch("a", 1)))
	w.pass(time.Second)
	o.settle()
	if len(o.commits) != 1 || !o.commits[0].Since.Equal(start) || o.commits[0].Batch.Lane != "a" || o.commits[0].Offset != 0 {
		t.Errorf("reported %+v", o.commits)
	}
}

func TestManyAnswersAreSpreadOverMessages(t *testing.T) {
	w := newWorld(t)
	w.settings.EntryItems = 10_000
	o := w.leader("first")
	all := batches("a", 1, 5000)
	o.commit(all...)
	o.take()
	o.step(release(all...))
	sent := o.take()
	if got := len(answers(t, sent)); got != 5000 || len(sent) != 3 {
		t.Errorf("%d answers in %d messages", got, len(sent))
	}
}

func TestEntryIsBoundedByItsPayload(t *testing.T) {
	w := newWorld(t)
	w.settings.EntryPayload = 1000
	o := w.leader("first")
	o.step(release(batch("before", 1)))
	o.step(release(sized(batch("a", 1), 600), sized(batch("b", 1), 400), sized(batch("c", 1), 1), sized(batch("d", 1), 5000)))
	o.settle()
	var got []int
	for _, e := range w.log[3:] {
		got = append(got, len(e.Entry.Batches))
	}
	if want := []int{2, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("the entries have %d batches, want %d", got, want)
	}
}
