package repair

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/protocol"
)

// stageBlock puts batches into one object, in a compressed block.
func (w *world) stageBlock(batches ...objectstore.Batch) []objectstore.StoredBatch {
	w.t.Helper()
	key, err := objectstore.NewKey(time.Now(), nil)
	w.must(err)
	builder := objectstore.NewBuilder(key)
	var stored []objectstore.StoredBatch
	for n, x := range builder.AddBlock(objectstore.Pack(protocol.CompressionS2, batches)) {
		stored = append(stored, objectstore.StoredBatch{Batch: batches[n], Extent: x})
	}
	w.must(w.store.Put(w.ctx, key, builder.Parts()))
	w.staged = append(w.staged, stored...)
	return stored
}

func TestBatchesOfABlockAreExported(t *testing.T) {
	w := newWorld(t)
	var batches []objectstore.Batch
	for n := range uint64(20) {
		batches = append(batches, w.batch(0, "a", n+1))
	}
	block := w.stageBlock(batches...)
	w.commit(0, append(block[:5:5], block[10:]...)...)
	w.stage(w.batch(0, "a", 8)) // a copy that is not in a block
	survey := w.inspect(0)
	lines, done := w.export(survey)
	if tickets(lines) != "0:a6 0:a7 0:a8 0:a9 0:a10" || done.Batches != 5 || done.Bytes != int64(5*len(batches[5].Payload)+1) || done.Unreadable != 0 {
		t.Fatalf("exported are %q, %+v", tickets(lines), done)
	}
	if lanes := survey.Report.Partitions[0].Lanes; len(lanes) != 1 || lanes[0].Bytes != done.Bytes {
		t.Errorf("lanes are %+v, want %d bytes", lanes, done.Bytes)
	}
	for i := range lines {
		if i == 2 {
			continue // which of its two copies comes first is open
		}
		x := block[i+5].Extent
		wantSame(t, &lines[i], &block[i+5])
		if lines[i].Block == nil || *lines[i].Block != (ExportedBlock{protocol.CompressionS2, x.Block.Start, x.Block.Length}) || lines[i].Offset != x.Offset {
			t.Errorf("line %d has the block %+v, want %+v", i, lines[i].Block, x)
		}
	}

	path := filepath.Join(w.folder, filepath.FromSlash(block[0].Extent.Key))
	content, err := os.ReadFile(path)
	w.must(err)
	content[block[0].Extent.Offset+5] ^= 1
	w.must(os.WriteFile(path, content, 0o600))
	lines, done = w.export(w.inspect(0))
	if tickets(lines) != "0:a6 0:a7 0:a8 0:a9 0:a10" || done.Unreadable != 4 || lines[2].Error != "" || lines[2].Block != nil {
		t.Errorf("damaged: exported are %q, %+v; the copy is %+v", tickets(lines), done, lines[2])
	}
}
