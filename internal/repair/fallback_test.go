package repair

import (
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/generation"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// olderStore is an archivedWorld whose log was archived up to entry 9 afterwards, and purged up to
// entry 8. Its store does not have the manifest that the log names since then.
func olderStore(t *testing.T) (w *world, older, lost messages.History) {
	t.Helper()
	w = archivedWorld(t)
	older = w.history[0]
	lost = w.archive(0, older, 9)
	w.history[0] = lost
	w.append(0, messages.Entry{Epoch: 5})
	w.save(0, 9)
	w.purge(0, 9)
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 11, Offset: 16}, Reserved: messages.Position{Sequence: 50, Offset: 500}})
	if p := w.inspect(0).Report.Partitions[0]; len(p.Findings) > 0 {
		t.Fatalf("findings are %q", p.Findings)
	}
	w.hide(lost.Manifest, true)
	return w, older, lost
}

// wantPlanned checks that the report says what accepting the loss does, and returns that.
func (w *world) wantPlanned() *Accepted {
	w.t.Helper()
	planned := w.inspect(0).Report.Partitions[0]
	if planned.Plan == nil {
		w.t.Fatalf("no plan: %s", planned.PlanError)
	}
	if w.sealed(0) {
		w.t.Fatal("the report has sealed the log")
	}
	got, err := w.accept(w.ctx)
	w.must(err)
	if diff := cmp.Diff(*planned.Plan, got.Plan); diff != "" {
		w.t.Errorf("-planned +accepted\n%s", diff)
	}
	return got
}

func TestANewestOlderManifestReplacesALostOne(t *testing.T) {
	w, older, lost := olderStore(t)
	got := w.wantPlanned()
	if got.LostManifest != lost.Manifest || got.LostReason == "" || got.Replacement == nil || got.Replacement.Manifest != older.Manifest || got.Restored != nil {
		t.Errorf("accepted is %+v", got)
	}
	if given := fmt.Sprint(got.GivenUp); given != "[offsets 12 to 13 offsets 16 to 499]" || got.NextOffset != 500 || got.Copied != 3 || got.StateLost {
		t.Errorf("given up are %s, accepted is %+v", given, got)
	}
	log := w.log(0)
	if first := log[0].Entry; first.History != older || first.BaseOffset != 12 {
		t.Errorf("the first entry is %+v", first)
	}
	kept := log[2].Entry
	if len(kept.Batches) != 1 || kept.BaseOffset != 14 || kept.Batches[0].Number != 8 {
		t.Errorf("the entry of the offsets 14 to 15 is %+v", kept)
	}
	w.wantWhole()
}

func TestEntriesOfALostHistoryWhoseObjectsAreGoneAreGivenUp(t *testing.T) {
	w, _, lost := olderStore(t)
	w.hide(lost.Manifest, false)
	b := w.batch(0, "inline", 1)
	inline := messages.Placeholder{Batch: b.Batch, Inline: b.Payload, Extent: messages.Extent{Length: int64(len(b.Payload)), CRC: crc32.Checksum(b.Payload, crc32.MakeTable(crc32.Castagnoli))}}
	staged := w.stage(w.batch(0, "a", 9))[0]
	w.append(0, messages.Entry{Epoch: 5, Batches: []messages.Placeholder{{Batch: staged.Batch.Batch, Extent: staged.Extent}, inline}}) // entry 12, offsets 16 to 19
	before := lost.Manifest
	lost = w.archive(0, lost, 12)
	w.history[0] = lost
	w.append(0, messages.Entry{Epoch: 5})
	w.commit(0, w.stage(w.batch(0, "a", 10))...) // entry 14, which is not archived
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 14, Offset: 22}, Reserved: messages.Position{Sequence: 50, Offset: 500}})
	w.must(w.store.Delete(w.ctx, before))
	w.hide(lost.Manifest, true)
	for _, b := range w.staged {
		if b.Partition == w.topic.Partition(0) && b.Number >= 8 {
			w.must(w.store.Delete(w.ctx, b.Extent.Key))
		}
	}
	got := w.wantPlanned()
	if given := fmt.Sprint(got.GivenUp); given != "[offsets 12 to 15 offsets 22 to 499]" || fmt.Sprint(got.Unreadable) != "[offsets 16 to 17]" {
		t.Errorf("given up are %s, accepted is %+v", given, got)
	}
	w.wantWhole()
}

func TestWithoutAnOlderManifestALogBeginsWithItsFirstEntry(t *testing.T) {
	w, older, _ := olderStore(t)
	w.must(w.store.Delete(w.ctx, older.Manifest))
	got := w.wantPlanned()
	if given := fmt.Sprint(got.GivenUp); given != "[offsets 0 to 13 offsets 16 to 499]" || got.Replacement != nil || got.LostManifest == "" {
		t.Errorf("given up are %s, accepted is %+v", given, got)
	}
	if first := w.log(0)[0].Entry; first.History.Archived() || first.BaseOffset != 14 {
		t.Errorf("the first entry is %+v", first)
	}
	w.wantWhole()
}

func TestALogWithoutEntriesAndManifestsContinuesAboveWhatItHad(t *testing.T) {
	w, older, _ := olderStore(t)
	w.must(w.store.Delete(w.ctx, older.Manifest))
	w.save(0, 11)
	w.damage(0).LoseStream()
	if got := w.wantPlanned(); fmt.Sprint(got.GivenUp) != "[offsets 0 to 15 offsets 16 to 499]" || got.NextOffset != 500 {
		t.Errorf("accepted is %+v", got)
	}
	w.wantWhole()
}

func TestAnOlderManifestWithoutItsSegmentsIsTheSecondChoice(t *testing.T) {
	w := archivedWorld(t)
	older := w.history[0]
	broken := w.archive(0, older, 8)
	w.history[0] = w.archive(0, broken, 9)
	w.append(0, messages.Entry{Epoch: 5})
	m, err := archive.Manifest(w.ctx, w.store, broken.Manifest)
	w.must(err)
	w.must(w.store.Delete(w.ctx, m.Segments[1].Key))
	w.must(w.store.Delete(w.ctx, w.history[0].Manifest))
	if p := w.inspect(0).Report.Partitions[0].Plan; p == nil || p.Replacement == nil || p.Replacement.Manifest != older.Manifest {
		t.Errorf("the plan is %+v", p)
	}
	w.must(w.store.Delete(w.ctx, older.Manifest))
	if p := w.inspect(0).Report.Partitions[0].Plan; p == nil || p.Replacement == nil || p.Replacement.Manifest != broken.Manifest {
		t.Errorf("without another choice, the plan is %+v", p)
	}
}

func TestDroppedRecordsOfAnOlderManifestAreNamed(t *testing.T) {
	w, older, lost := olderStore(t)
	w.hide(lost.Manifest, false)
	w.history[0] = w.drop(lost, 1)
	w.append(0, messages.Entry{Epoch: 5})
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 12, Offset: 16}, Reserved: messages.Position{Sequence: 50, Offset: 500}})
	w.must(w.store.Delete(w.ctx, lost.Manifest))
	w.must(w.store.Delete(w.ctx, w.history[0].Manifest))
	got := w.wantPlanned()
	if got.Replacement == nil || got.Replacement.Manifest != older.Manifest || got.Restored == nil || got.Restored.String() != "offsets 0 to 11" {
		t.Errorf("accepted is %+v", got)
	}
}

// An entry that is not archived any more may refer to objects below the watermarks of its log. A
// sweep would delete them if the new log had the same watermarks.
func TestEntriesThatAreNotArchivedAnyMoreHoldTheirObjects(t *testing.T) {
	key := fmt.Sprintf("o/%0*x/A", generation.Digits, 3)
	batch := messages.Placeholder{Batch: messages.Batch{Records: 1}, Extent: messages.Extent{Key: key}}
	for name, c := range map[string]struct {
		readopted uint64
		want      uint64
	}{"archived in a lost history": {2, 3}, "never archived": {1, 7}} {
		t.Run(name, func(t *testing.T) {
			made, _ := newContinuation(protocol.Partition{}, 100, beginning{generation: 9, readopted: c.readopted})
			for sequence := uint64(2); sequence < 5; sequence++ {
				e := messages.LoggedEntry{Sequence: sequence, Entry: messages.Entry{BaseOffset: int64(sequence) - 2, Watermark: 7, Batches: []messages.Placeholder{batch}}}
				if _, err := made.entry(&e); err != nil {
					t.Fatal(err)
				}
			}
			if end := made.finish(10, 1, 0); end.Watermark != c.want {
				t.Errorf("the watermark is %d, want %d", end.Watermark, c.want)
			}
		})
	}
}
