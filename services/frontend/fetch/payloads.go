package fetch

import (
	"math/rand/v2"
	"slices"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// load is the payloads of some extents. Payloads from the caches are set at once, and missing
// lists what is read from the store for the others.
type load struct {
	payloads []core.Payload
	missing  []missing
}

// missing is what is stored at an extent: a batch, or a block with some batches.
type missing struct {
	messages.Extent         // without the place of a frame in a block
	frames          []frame // to be taken from it
}

// frame is the payload of an extent that is missing.
type frame struct {
	messages.Extent
	payload *core.Payload
}

// fail sets the error of all payloads.
func (m *missing) fail(err *protocol.Error) {
	for _, f := range m.frames {
		f.payload.Err = err
	}
}

// unpack takes the payloads from their decompressed block.
func (m *missing) unpack(block []byte) {
	for _, f := range m.frames {
		f.unpack(block)
	}
}

func (f frame) unpack(block []byte) {
	content, err := objectstore.Frame(f.Extent, block)
	if err != nil {
		*f.payload = core.Payload{Err: damage(f.Extent, err)}
		return
	}
	*f.payload = core.Payload{Bytes: content}
}

func (s *Server) load(extents []messages.Extent) load {
	l := load{payloads: make([]core.Payload, len(extents))}
	// The position in missing of each block, which is read once for all of its batches.
	var blocks map[messages.Extent]int
	var frames []frame // memory for those of plain batches
	for i, x := range extents {
		var ok bool
		if l.payloads[i].Bytes, ok = s.payloads.get(x); ok {
			continue
		}
		f := frame{x, &l.payloads[i]}
		if !x.Compressed() {
			if frames == nil {
				frames = make([]frame, 0, len(extents)-i)
				l.missing = slices.Grow(l.missing, len(extents)-i)
			}
			frames = append(frames, f)
			l.missing = append(l.missing, missing{Extent: x, frames: frames[len(frames)-1 : len(frames) : len(frames)]})
			continue
		}
		if block, damage, ok := s.blocks.get(x); ok {
			if f.payload.Err = damage; damage == nil {
				f.unpack(block)
			}
			continue
		}
		at, known := blocks[x.Stored()]
		if !known {
			if blocks == nil {
				blocks = make(map[messages.Extent]int)
			}
			at = len(l.missing)
			blocks[x.Stored()] = at
			l.missing = append(l.missing, missing{Extent: x.Stored()})
		}
		l.missing[at].frames = append(l.missing[at].frames, f)
	}
	return l
}

// compressed reports whether a payload that was in the cache is compressed.
func (l load) compressed() bool {
	return slices.ContainsFunc(l.payloads, func(p core.Payload) bool {
		head, err := protocol.ReadFrameHead(p.Bytes)
		return err == nil && head.Compression != protocol.CompressionNone
	})
}

// answer returns the answer to the question for these payloads.
func (l load) answer() core.Loaded { return core.Loaded{Payloads: l.payloads, Random: rand.Float64()} }

// fail sets the error of all missing payloads.
func (l load) fail(err *protocol.Error) {
	for i := range l.missing {
		l.missing[i].fail(err)
	}
}
