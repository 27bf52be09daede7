package fetch

import (
	"slices"

	"laneway.dev/pkg/messages"
)

// blocks are the compressed blocks of some extents. They are in memory as a whole as long as the
// fetch has one of their frames, so their size is bounded as well as that of the frames.
type blocks struct {
	limit int64
	seen  []messages.Extent
	bytes int64 // of the decompressed blocks
}

// fit reports whether an extent may be loaded, too.
func (b *blocks) fit(x messages.Extent) bool {
	return !x.Compressed() || b.bytes+int64(x.Block.Bytes) <= b.limit || b.has(x)
}

func (b *blocks) has(x messages.Extent) bool {
	return x.Compressed() && slices.Contains(b.seen, x.Stored())
}

func (b *blocks) add(x messages.Extent) {
	if x.Compressed() && !b.has(x) {
		b.seen = append(b.seen, x.Stored())
		b.bytes += int64(x.Block.Bytes)
	}
}
