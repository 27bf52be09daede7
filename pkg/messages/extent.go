package messages

import (
	"math"

	"laneway.dev/pkg/internal/codec"
	"laneway.dev/pkg/protocol"
)

// Extent is where a batch frame lies: a range of bytes in one object, and the CRC-32C of
// these stored bytes. They are the frame, or a compressed block that has the frame among
// others.
type Extent struct {
	Key    string
	Offset int64
	Length int64
	CRC    uint32
	Block  InBlock // zero if the stored bytes are the frame
}

// InBlock is where a batch frame lies in a compressed block. Blocks are compressed by stagers
// (see protocol.TopicConfig.Compression).
type InBlock struct {
	Codec  protocol.Compression // of the block
	Bytes  uint32               // length of the block when it is decompressed; above the stored length
	Start  uint32               // where the frame begins in the decompressed block
	Length uint32               // of the frame; above 0
	CRC    uint32               // CRC-32C of the frame
}

// Compressed reports whether the extent is that of a compressed block.
func (x Extent) Compressed() bool { return x.Block.Codec != "" }

// FrameLength returns the length of the batch frame in bytes.
func (x Extent) FrameLength() int64 {
	if x.Compressed() {
		return int64(x.Block.Length)
	}
	return x.Length
}

// FrameCRC returns the CRC-32C of the batch frame.
func (x Extent) FrameCRC() uint32 {
	if x.Compressed() {
		return x.Block.CRC
	}
	return x.CRC
}

// Stored returns the extent without the place of the frame in the block. All frames of one
// block have the same.
func (x Extent) Stored() Extent {
	x.Block.Start, x.Block.Length, x.Block.CRC = 0, 0, 0
	return x
}

// Numbers of fields of an extent.
const (
	extentFields      = 4
	blockExtentFields = extentFields + 5
)

func (x Extent) fields() int {
	if x.Compressed() {
		return blockExtentFields
	}
	return extentFields
}

func (x Extent) encode(e *codec.Encoder) {
	e.Text(x.Key)
	e.Int(x.Offset)
	e.Int(x.Length)
	e.Uint(uint64(x.CRC))
	if b := x.Block; x.Compressed() {
		e.Text(string(b.Codec))
		e.Uint(uint64(b.Bytes))
		e.Uint(uint64(b.Start))
		e.Uint(uint64(b.Length))
		e.Uint(uint64(b.CRC))
	}
}

func decodeExtent(d *codec.Decoder, fields int) Extent {
	x := Extent{Key: d.Text(), Offset: d.Natural(), Length: d.Natural(), CRC: d.Uint32()}
	if fields == blockExtentFields {
		x.Block = InBlock{Codec: decodeCodec(d), Bytes: d.Uint32(), Start: d.Uint32(), Length: d.Uint32(), CRC: d.Uint32()}
		x.checkFrame(d)
	}
	x.check(d)
	return x
}

// decodeCodec reads the name of a codec.
func decodeCodec(d *codec.Decoder) protocol.Compression {
	c := decodeOptionalCodec(d)
	if c == "" {
		d.Fail("a block without a codec")
	}
	return c
}

// decodeOptionalCodec reads the name of a codec, or an empty text.
func decodeOptionalCodec(d *codec.Decoder) protocol.Compression {
	name := d.Bytes()
	if len(name) == 0 {
		return ""
	}
	for _, c := range protocol.Compressions() {
		if string(name) == string(c) {
			return c
		}
	}
	d.Fail("the codec %.20q is not known", name)
	return ""
}

// check rejects an extent whose end overflows, so that readers may add Offset and Length, and
// a block that is not smaller than what it contains.
func (x Extent) check(d *codec.Decoder) {
	if x.Offset > math.MaxInt64-x.Length {
		d.Fail("extent of %d bytes at %d", x.Length, x.Offset)
	}
	if b := x.Block; x.Compressed() && (b.Bytes > protocol.MaxFrameBytes || x.Length >= int64(b.Bytes)) {
		d.Fail("a block of %d bytes, and %d when it is decompressed", x.Length, b.Bytes)
	}
}

// checkFrame rejects a frame that is empty or not within its block.
func (x Extent) checkFrame(d *codec.Decoder) {
	if b := x.Block; b.Length == 0 || uint64(b.Start)+uint64(b.Length) > uint64(b.Bytes) {
		d.Fail("a frame of %d bytes at %d in a block of %d", b.Length, b.Start, b.Bytes)
	}
}
