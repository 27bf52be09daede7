package messages

import (
	"fmt"
	"hash/crc32"

	"laneway.dev/pkg/internal/codec"
	"laneway.dev/pkg/protocol"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// InlineExtent returns the extent of an inline batch with this frame.
func InlineExtent(frame []byte) Extent {
	return Extent{Length: int64(len(frame)), CRC: crc32.Checksum(frame, castagnoli)}
}

// InlineFrame returns the batch frame of an inline batch. The error says that the frame does not
// match its checksum.
func (p *Placeholder) InlineFrame() ([]byte, error) {
	if got := crc32.Checksum(p.Inline, castagnoli); got != p.Extent.CRC {
		return nil, fmt.Errorf("the payload in the log entry is corrupt: its CRC-32C is %08x, should be %08x", got, p.Extent.CRC)
	}
	return p.Inline, nil
}

// inlineFields is the number of fields that an inline batch has instead of those of an extent.
const inlineFields = 3

func encodeInlineBatch(e *codec.Encoder, b *StagedBatch) {
	e.Array(submissionFields + inlineFields)
	encodeSubmission(e, &b.Submission)
	e.Bytes(b.Inline)
	e.Int(b.Extent.Length)
	e.Uint(uint64(b.Extent.CRC))
}

func decodeInlineBatch(d *codec.Decoder) StagedBatch {
	b := StagedBatch{Submission: decodeSubmission(d), Inline: d.Bytes(), Extent: Extent{Length: d.Natural(), CRC: d.Uint32()}}
	switch {
	case b.Extent.Length == 0 || b.Extent.Length > protocol.MaxFrameBytes:
		d.Fail("an inline batch of %d bytes", b.Extent.Length)
	case len(b.Inline) == 0:
		b.Withheld, b.Inline = true, nil
	case b.Extent.Length != int64(len(b.Inline)):
		d.Fail("an inline batch of %d bytes with %d bytes", b.Extent.Length, len(b.Inline))
	}
	return b
}

// encodeInline writes what a placeholder has instead of the place of its batch.
func encodeInline(e *codec.Encoder, p *Placeholder) {
	e.Bytes(p.Inline)
	e.Uint(uint64(p.Extent.CRC))
}

func decodeInline(d *codec.Decoder, p *Placeholder) {
	p.Inline = d.Bytes()
	p.Extent = Extent{Length: int64(len(p.Inline)), CRC: d.Uint32()}
	if len(p.Inline) == 0 {
		d.Fail("an inline batch of 0 bytes")
	}
}
