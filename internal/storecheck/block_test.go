package storecheck

import (
	"fmt"
	"os"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// stageBlocks puts an object into the store with two compressed blocks of some batches of ten
// records each.
func (w *world) stageBlocks(batches int) []messages.Placeholder {
	w.t.Helper()
	key, err := objectstore.NewKey(time.Now(), nil)
	w.must(err)
	builder := objectstore.NewBuilder(key)
	var staged []messages.Placeholder
	for range 2 {
		group := make([]objectstore.Batch, batches)
		for n := range group {
			group[n] = objectstore.Batch{
				Batch:     messages.Batch{Ticket: messages.Ticket{Lane: "l", Number: uint64(len(staged) + n)}, Records: 10},
				Partition: w.topic.Partition(0), Epoch: 5, Payload: fmt.Appendf(nil, "payload %d of %s", len(staged)+n, key),
			}
		}
		for n, x := range builder.AddBlock(objectstore.Pack(protocol.CompressionZstd, group)) {
			staged = append(staged, messages.Placeholder{Batch: group[n].Batch, Extent: x})
		}
	}
	w.must(w.checker.Store.Store.Put(w.ctx, key, builder.Parts()))
	return staged
}

func TestNamesWhatADamagedBlockLoses(t *testing.T) {
	w := newServedWorld(t)
	w.commit(w.stage(1)...)
	batches := w.stageBlocks(50)
	w.commit(batches...)
	key := batches[0].Extent.Key
	original, err := os.ReadFile(w.path(key))
	w.must(err)
	report := w.check()
	if report.Wrong() || report.Store.Batches != 101 || report.Store.Records != 1010 || report.Logs.Batches != 101 || report.Logs.Waiting.Objects != 0 {
		t.Errorf("intact: the report is %+v, %+v", report.Store, report.Logs)
	}
	second := batches[50].Extent
	for at, want := range map[int64]string{
		second.Offset + 7: "payload; orders/0: 50 batches, 500 records, offsets 510 to 1009",
		// All frames can be read without the heads of the batches.
		second.Offset - 7: "head",
	} {
		w.flip(key, at)
		report := w.check()
		if len(report.Damaged) != 1 || report.Damaged[0].Key != key || affected(report.Damaged[0]) != want {
			t.Errorf("byte %d altered: damaged are %s, want %s", at, affected(report.Damaged[0]), want)
		}
		w.must(os.WriteFile(w.path(key), original, 0o600))
	}
}

func TestNamesThePartitionOfADamagedBlockWithoutAServer(t *testing.T) {
	w := newWorld(t)
	batches := w.stageBlocks(50)
	w.flip(batches[0].Extent.Key, batches[0].Extent.Offset+7)
	report := w.check()
	if len(report.Damaged) != 1 || affected(report.Damaged[0]) != "payload; orders/0: 50 batches, 500 records" || report.Store.Batches != 50 {
		t.Errorf("damaged are %v, counted is %+v", report.Damaged, report.Store)
	}
}
