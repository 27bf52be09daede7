package repair

import (
	"fmt"
	"testing"

	"laneway.dev/internal/archive/archivetest"
	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// restoredLog is an archivedWorld whose log was restored from an older copy: in the meantime it had
// other entries 8 to 12, with the offsets 12 to 21, which were archived. Its store does not have the
// manifest of the older log any more.
func restoredLog(t *testing.T) (w *world, newer messages.History) {
	t.Helper()
	w = archivedWorld(t)
	newer = w.archiveOthers()
	w.must(w.store.Delete(w.ctx, w.history[0].Manifest))
	return w, newer
}

// archiveOthers archives the entries that the log had in the meantime.
func (w *world) archiveOthers() (newer messages.History) {
	w.t.Helper()
	p := w.topic.Partition(0)
	conn, js := embeddedtest.Start(w.t)
	log := logtest.Of(w.t, conn, p)
	for n := range uint64(5) {
		e := messages.Entry{TopicID: p.TopicID, Epoch: 5, BaseOffset: 12 + 2*int64(n), Time: 1 + int64(n)}
		b := w.stage(w.batch(0, "before", n+1))[0]
		e.Batches = []messages.Placeholder{{Batch: b.Batch.Batch, Extent: b.Extent}}
		log.Append(7+n, messages.EncodeEntry(e))
	}
	newer, err := archivetest.Archive(w.ctx, partitionlog.New(conn, js, p), w.store, p, w.history[0], 12, protocol.CompressionNone)
	w.must(err)
	return newer
}

// commitInline appends a batch whose payload stands in the log.
func (w *world) commitInline(lane string) {
	b := w.batch(0, lane, 1)
	e := messages.Entry{Epoch: 5, Batches: []messages.Placeholder{{Batch: b.Batch, Inline: b.Payload}}}
	e.Batches[0].Extent.Length = int64(len(b.Payload))
	w.append(0, e)
}

func TestRecordsForWhichTheHistoryHasOthersAreNamedAndExported(t *testing.T) {
	w, newer := restoredLog(t)
	w.commitInline("inline") // offsets 16 and 17
	w.next[0] = 30
	w.append(0, messages.Entry{Epoch: 5, Gap: 12, Batches: []messages.Placeholder{{Batch: messages.Batch{Records: 1}}}})
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 12, Offset: 31}, Reserved: messages.Position{Sequence: 50, Offset: 500}})

	lines, done := w.export(w.inspect(0))
	if got := tickets(lines); got != "0:a7 0:a8 0:inline1" || done.Records != 6 {
		t.Fatalf("exported are %q, %+v", got, done)
	}
	for i, offset := range []int64{12, 14, 16} {
		if at := lines[i].LogOffset; at == nil || *at != offset || len(lines[i].Records) != 2 {
			t.Errorf("line %d is %+v", i, lines[i])
		}
	}
	got := w.wantPlanned()
	if got.Replacement == nil || got.Replacement.Manifest != newer.Manifest || got.DroppedRecords != 6 || fmt.Sprint(got.Dropped) != "[offsets 12 to 17]" || got.StateLost {
		t.Errorf("accepted is %+v", got)
	}
	if given := fmt.Sprint(got.GivenUp); given != "[offsets 31 to 499]" || got.Copied != 1 {
		t.Errorf("given up are %s, accepted is %+v", given, got)
	}
	log := w.log(0)
	if first, kept := log[0].Entry, log[1].Entry; first.History != newer || first.BaseOffset != 22 || kept.BaseOffset != 30 || kept.Gap != 8 {
		t.Errorf("the log begins with %+v and %+v", first, kept)
	}
	w.wantWhole()
}

// A producer that sends a dropped batch again must not be told that the log has it.
func TestASnapshotOfDroppedBatchesIsNotUsed(t *testing.T) {
	w, _ := restoredLog(t)
	w.save(0, 9)
	if got := w.wantPlanned(); !got.StateLost || got.DroppedRecords != 4 {
		t.Errorf("accepted is %+v", got)
	}
	if got := fmt.Sprint(producers(w.newSnapshot(0))); got != "[5 6 7]" {
		t.Errorf("the state is that of %s, want that of the entries 5 to 7", got)
	}
}

func TestEntriesThatTheHistoryHasAreNotDropped(t *testing.T) {
	w := archivedWorld(t)
	newest := w.archive(0, w.history[0], 9)
	w.must(w.store.Delete(w.ctx, w.history[0].Manifest))
	got := w.wantPlanned()
	if got.DroppedRecords != 0 || got.Replacement == nil || got.Replacement.Manifest != newest.Manifest || fmt.Sprint(got.GivenUp) != "[offsets 16 to 499]" {
		t.Errorf("accepted is %+v", got)
	}
	w.wantWhole()
}

// The log, its mark and its snapshots are whole, because all of them were restored.
func TestALogThatIsOlderThanTheStoreIsContinuedAboveWhatTheStoreHas(t *testing.T) {
	for name, c := range map[string]struct {
		newer bool
		next  int64
	}{
		"the store has a newer history": {true, 22},
		"the store has no newer one":    {false, 16},
	} {
		t.Run(name, func(t *testing.T) {
			w := archivedWorld(t)
			if c.newer {
				w.archiveOthers()
			}
			w.wantWhole()
			behind := sweepstate.NewBehind("")
			behind.Add(w.topic.Partition(0), "sweep 5 has read of partition orders/0: entry 12, and the log ends with entry 10")
			_, err := kvbucket.OpenBucket(w.ctx, w.js, sweepstate.Bucket, "")
			w.must(err)
			w.must(sweepstate.NoteBehind(w.ctx, w.js, behind))
			if found := w.inspect(0).Report.Partitions[0].Findings; !contains(found, "is older than the object store (sweep 5 has read") {
				t.Errorf("the findings are %q", found)
			}
			got := w.wantPlanned()
			if got.NextOffset < safetyMargin || (got.Replacement != nil) != c.newer {
				t.Errorf("accepted is %+v", got)
			}
			if last := w.log(0); last[len(last)-1].Entry.BaseOffset != got.NextOffset || got.GivenUp[0].From != c.next {
				t.Errorf("the log is %+v, given up are %v", last, got.GivenUp)
			}
			w.wantWhole()
		})
	}
}
