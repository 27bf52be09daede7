package archiver

import (
	"fmt"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// appendInline appends an entry with a batch in an object, and inline ones.
func (w *world) appendInline(inline ...[]byte) {
	w.Helper()
	frames := append([][]byte{frameOf("stored")}, inline...)
	batches := w.stage(frames[0])
	for i, frame := range inline {
		batches = append(batches, messages.Placeholder{
			Batch:  messages.Batch{Ticket: messages.Ticket{Lane: "inline", Number: uint64(i) + 1}, Records: 2},
			Extent: messages.InlineExtent(frame), Inline: frame,
		})
	}
	w.appendEntry(0, batches, frames)
}

func TestInlineBatchesMoveIntoTheSegment(t *testing.T) {
	for _, codec := range []protocol.Compression{"", protocol.CompressionZstd} {
		t.Run("codec "+string(codec), func(t *testing.T) {
			w := newWorld(t)
			w.start(nil)
			w.appendInline(frameOf("one"), frameOf("two"))
			w.appendInline()
			w.appendInline(frameOf("three"))
			job := w.job(messages.History{})
			job.Codec = codec
			w.wantArchived(w.archives(job).History)
		})
	}
}

func TestCorruptInlineBatchIsGivenUp(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.appendInline()
	frame := frameOf("corrupt")
	extent := messages.InlineExtent(frame)
	extent.CRC++
	w.appendEntry(0, []messages.Placeholder{{Batch: messages.Batch{Records: 2}, Extent: extent, Inline: frame}}, [][]byte{frame})
	job := w.job(messages.History{})
	w.send(job)
	if m := answer[messages.ArchiveFailed](w); m.Reason == "" {
		t.Errorf("the job has failed without a reason: %+v", m)
	}
	job.GiveUp = true
	m := w.archives(job)
	if m.Damaged != 2 {
		t.Errorf("%d records are damaged", m.Damaged)
	}
	w.wantArchived(m.History, fmt.Sprintf("%d.0", w.last()))
}
