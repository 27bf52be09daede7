package segment

import (
	"bytes"

	"laneway.dev/internal/core/layout"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// maxBlock is how many bytes of frames a block has, unless a single frame is longer. A reader of
// one batch decompresses the whole block.
const maxBlock = 256 << 10

// blocks gathers neighboring frames and compresses them together.
type blocks struct {
	codec      protocol.Compression // empty: there are no blocks
	frames     []waitingFrame       // of the next block
	size       int                  // of the frames
	plain      []byte               // memory for frames, used again
	compressed []byte               // memory for a block, used again
}

type waitingFrame struct {
	frame []byte
	sum   uint32
	at    *messages.Extent // where its place is written
}

// takes reports whether a frame may become part of a block. Frames that the client has
// compressed stay as they are, so consumers get them unchanged.
func (b *blocks) takes(frame []byte) bool {
	if b.codec == "" || len(frame) > protocol.MaxFrameBytes {
		return false
	}
	head, err := protocol.ReadFrameHead(frame)
	return err == nil && head.Compression == protocol.CompressionNone
}

// full reports whether the frame has no room beside those that wait.
func (b *blocks) full(frame []byte) bool {
	return len(b.frames) > 0 && b.size+len(frame) > maxBlock
}

func (b *blocks) add(frame []byte, sum uint32, at *messages.Extent) {
	b.frames = append(b.frames, waitingFrame{frame, sum, at})
	b.size += len(frame)
}

// compress returns the block of the frames that wait, and writes their places in the block at
// a position of the segment. It returns nil if the block would not be a tenth shorter.
func (b *blocks) compress(position int64) []byte {
	if len(b.frames) == 0 {
		return nil
	}
	b.plain = b.plain[:0]
	for i := range b.frames {
		b.plain = append(b.plain, b.frames[i].frame...)
	}
	b.compressed = b.codec.Compress(b.compressed[:0], b.plain)
	if 10*len(b.compressed) > 9*len(b.plain) {
		return nil
	}
	block := bytes.Clone(b.compressed)
	x := messages.Extent{Offset: position, Length: int64(len(block)), CRC: layout.Sum(block)}
	x.Block = messages.InBlock{Codec: b.codec, Bytes: uint32(len(b.plain))}
	for i := range b.frames {
		f := &b.frames[i]
		x.Block.Length, x.Block.CRC = uint32(len(f.frame)), f.sum
		*f.at = x
		x.Block.Start += x.Block.Length
	}
	return block
}

func (b *blocks) clear() {
	clear(b.frames)
	b.frames, b.size = b.frames[:0], 0
}
