package archive

import (
	"context"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// readAhead is how much of a segment Frames reads at once, in bytes.
const readAhead = 1 << 20

// Frames reads the frames of one segment in their order, with few requests. It belongs to one
// goroutine.
type Frames struct {
	object *objectstore.Reader
	frames *objectstore.Frames // reads again what does not match
	last   messages.Extent     // of a block
	block  []byte              // decompressed
}

// NewFrames returns a reader of the frames of a segment.
func NewFrames(ctx context.Context, store objectstore.Store, o objectstore.Listed) *Frames {
	return &Frames{object: objectstore.NewReader(ctx, store, o, readAhead), frames: objectstore.NewFrames(store)}
}

// Read returns the frame of a batch, which is valid until the next call. The extent MUST NOT be
// empty. Damage is a *objectstore.CorruptError or ErrNotFound.
func (r *Frames) Read(ctx context.Context, x messages.Extent) ([]byte, error) {
	if frame := r.ahead(x); frame != nil {
		return frame, nil
	}
	return r.frames.Read(ctx, x) // perhaps it was altered on the way
}

// ahead returns a frame if it matches in the first attempt to read it.
func (r *Frames) ahead(x messages.Extent) []byte {
	at := x.Stored()
	if !x.Compressed() || r.last != at {
		content := make([]byte, at.Length)
		if _, err := r.object.ReadAt(content, at.Offset); err != nil || objectstore.Verify(at, content) != nil {
			return nil
		}
		if !x.Compressed() {
			return content
		}
		block, err := objectstore.Decompress(at, content)
		if err != nil {
			return nil
		}
		r.last, r.block = at, block
	}
	frame, err := objectstore.Frame(x, r.block)
	if err != nil {
		return nil
	}
	return frame
}
