package core_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

// keyOf returns the key of an object of a generation.
func keyOf(kind string, generation uint64, name string) string {
	return fmt.Sprintf("%s/%016x/%s", kind, generation, name)
}

// dated returns a batch whose object is of a generation.
func dated(b messages.StagedBatch, generation uint64) messages.StagedBatch {
	b.Extent.Key = keyOf("o", generation, "object")
	return b
}

// rise tells the owner of a generation.
func (o *owner) rise(generation uint64) {
	o.w.t.Helper()
	o.step(core.Generation{Newest: generation})
	o.settle()
}

func (w *world) expectWatermark(when string, want uint64) {
	w.t.Helper()
	if got := w.log[len(w.log)-1].Entry.Watermark; got != want {
		w.t.Fatalf("%s: the log has the watermark %d, want %d", when, got, want)
	}
}

// expectOutdated takes what was sent, and compares the results that the owner refuses.
func (o *owner) expectOutdated(want ...messages.OutdatedResult) {
	o.w.t.Helper()
	var got []messages.OutdatedResult
	for _, m := range sentOf[messages.Outdated](o) {
		if m.Epoch != 1 {
			o.w.t.Fatalf("results of epoch %d are refused", m.Epoch)
		}
		got = append(got, m.Results...)
	}
	if !slices.Equal(got, want) {
		o.w.t.Fatalf("%s refuses %+v, want %+v", o.name, got, want)
	}
}

func outdated(lane string, number, generation uint64) messages.OutdatedResult {
	return messages.OutdatedResult{Ticket: messages.Ticket{Lane: lane, Number: number}, Key: keyOf("o", generation, "object")}
}

func TestIdleLogGetsOneEntryForEachGeneration(t *testing.T) {
	w, o := newLeader(t)
	for generation := uint64(3); generation < 7; generation++ {
		before := w.streamEnd
		for range 3 {
			o.rise(generation)
			w.pass(time.Minute)
			o.step()
			o.settle()
		}
		if got := w.streamEnd - before; got != 1 {
			t.Fatalf("%d entries for generation %d", got, generation)
		}
		w.expectWatermark("on an idle log", generation-2)
	}
	o.rise(5)
	w.expectWatermark("after an older generation", 4)
}

func TestUnarchivedBatchesHoldTheWatermarkBack(t *testing.T) {
	w, o := newArchiver(t)
	o.rise(10)
	o.commit(dated(sized(batch("a", 1), 500), 9))
	o.rise(20)
	w.expectWatermark("with a batch of generation 9", 9)
	o.commit(dated(sized(batch("a", 2), 500), 19))
	w.expectWatermark("with another entry", 9)
	j := o.job()
	m := done(j, keyOf("m", 20, "1"))
	m.Generation = 20
	o.step(m)
	o.settle()
	w.expectWatermark("with the entry that archives the batches", 18)
	if j.Generation != 20 {
		t.Errorf("the job is of generation %d", j.Generation)
	}
}

func TestAnOldSegmentHoldsTheWatermarkBackForItsOwnEntryOnly(t *testing.T) {
	w, o := newArchiver(t)
	o.rise(10)
	o.commit(dated(sized(batch("a", 1), 1000), 9))
	j := o.job()
	o.rise(14)
	w.expectWatermark("with a batch of generation 9", 9)
	before := w.streamEnd
	m := done(j, keyOf("m", 10, "1"))
	m.Generation = 10
	o.step(m)
	o.settle()
	if got := w.log[len(w.log)-2].Entry; !got.History.Archived() || got.Watermark != 10 {
		t.Errorf("the entry that archives the batch is %+v", got)
	}
	w.expectWatermark("after that", 12)
	w.pass(time.Minute)
	o.step()
	o.settle()
	if got := w.streamEnd - before; got != 2 {
		t.Errorf("%d entries were appended", got)
	}
}

func TestWatermarkIsAtMostTheGenerationOfItsOwnEntry(t *testing.T) {
	w, o := newLeader(t)
	o.rise(10)
	o.step(release(dated(batch("a", 1), 8)), core.Generation{Newest: 30})
	o.settle()
	w.expectWatermark("with a batch of generation 8", 8)
	o.expectOutdated()
}

// The batch is not too old when it arrives. It waits for the append of the entry that raises the
// watermark.
func TestBatchIsComparedWhenItsEntryIsMade(t *testing.T) {
	w, o := newLeader(t)
	o.rise(10)
	o.step(core.Generation{Newest: 11})
	o.step(release(dated(batch("a", 1), 8), floored(dated(batch("a", 2), 11), 1), dated(batch("b", 1), 11)))
	o.settle()
	w.expectWatermark("after the rise", 9)
	o.expectOutdated(outdated("a", 1, 8))
	w.expectNumbers("a")
	o.commit(dated(batch("b", 1), 11)) // the sequencer repeats it
	w.expectNumbers("b", 1)
	o.commit(floored(dated(batch("a", 2), 11), 1))
	w.expectNumbers("a") // it waits for its turn
	o.commit(floored(dated(batch("a", 1), 9), 1), floored(dated(batch("a", 2), 11), 1))
	w.expectNumbers("a", 1, 2)
}

func TestWatermarkCountsOnceItStandsInTheLog(t *testing.T) {
	w, o := newLeader(t)
	o.rise(10)
	o.step(core.Generation{Newest: 11})
	if got := o.core.Stats().Watermark; got != 8 {
		t.Errorf("while the entry is under way, the watermark is %d, want 8", got)
	}
	lost := o.takeAppend() // of the watermark
	o.step(core.AppendFailed{})
	o.answerRead()
	o.commit(dated(batch("a", 1), 8))
	o.settle()
	o.commit(dated(batch("a", 1), 8))
	if _, landed := w.land(lost); landed {
		t.Fatal("the lost append has landed")
	}
	o.expectOutdated(outdated("a", 1, 8)) // the term record has raised it
	w.expectWatermark("after the roll-back", 9)
}

func TestDuplicatesAreAnsweredWhateverTheirObject(t *testing.T) {
	w, o := newLeader(t)
	o.rise(10)
	o.commit(dated(named(batch("a", 1), "x"), 9))
	o.rise(11)
	o.take()
	o.commit(dated(named(batch("b", 1), "x"), 2), dated(batch("a", 1), 9))
	o.expect(ok("a", 1, 0), duplicate("b", 1, 0))
	w.expectNumbers("b")
}

func TestInlineBatchesHaveNoGeneration(t *testing.T) {
	w, o := newLeader(t)
	o.rise(10)
	b := batch("a", 1)
	b.Extent.Key = ""
	o.commit(b)
	w.expectNumbers("a", 1)
	o.rise(11)
	w.expectWatermark("with an inline batch", 9)
}

func TestArchivedIsRefusedBelowTheWatermark(t *testing.T) {
	for name, m := range map[string]struct {
		manifest   string
		generation uint64
	}{"segment": {keyOf("m", 10, "1"), 7}, "manifest": {keyOf("m", 7, "1"), 10}} {
		t.Run(name, func(t *testing.T) {
			w, o := newArchiver(t)
			o.rise(10)
			o.commit(dated(sized(batch("a", 1), 1000), 10))
			old := done(o.job(), m.manifest)
			old.Generation = m.generation
			o.step(old)
			o.settle()
			if h := w.history(); h.Archived() {
				t.Fatalf("the log has the history %+v", h)
			}
			if got := o.core.Stats().ArchiveFailures; got != 1 {
				t.Errorf("%d failures", got)
			}
		})
	}
}

// The answer arrives while the entry that raises the watermark is under way.
func TestArchivedIsComparedWhenItsEntryIsMade(t *testing.T) {
	w, o := newArchiver(t)
	o.rise(10)
	o.commit(dated(sized(batch("a", 1), 1000), 12))
	j := o.job()
	o.step(core.Generation{Newest: 11})
	m := done(j, keyOf("m", 8, "1"))
	m.Generation = 8
	o.step(m)
	o.settle()
	w.expectWatermark("after the rise", 9)
	if h := w.history(); h.Archived() {
		t.Fatalf("the log has the history %+v", h)
	}
	w.pass(time.Second)
	o.step()
	if again := o.job(); again.Generation != 11 {
		t.Errorf("the next job is of generation %d", again.Generation)
	}
}

func TestNewOwnerKnowsTheWatermark(t *testing.T) {
	for name, snapshots := range map[string]uint64{"from the log": 1 << 40, "from a snapshot": 1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.settings.SnapshotEvery = snapshots
			o := w.leader("first")
			o.rise(10)
			o.commit(dated(batch("a", 1), 9))
			o.rise(30)
			w.expectWatermark("of the first owner", 9)
			if snapshots == 1 {
				w.purge(w.streamEnd) // only the entry that the snapshot ends with is left
			}
			second := w.leader("second")
			second.commit(dated(batch("b", 1), 8))
			second.expectOutdated(outdated("b", 1, 8))
			second.rise(40)
			w.expectWatermark("of the second owner", 9) // the batch is not archived
		})
	}
}

// Only the batches behind an outdated one are dropped: the history has nothing to do with them.
func TestOutdatedBatchLeavesTheHistoryThatWaits(t *testing.T) {
	w, o := newArchiver(t)
	o.rise(5)
	o.commit(sized(dated(batch("a", 1), 5), 1000))
	result := done(o.job(), keyOf("m", 5, "manifest"))
	result.Generation = 5
	o.step(result, release(dated(batch("b", 1), 2)))
	o.settle()
	if got := w.history().Manifest; got != result.History.Manifest {
		t.Errorf("the log has the manifest %q, want %q", got, result.History.Manifest)
	}
}
