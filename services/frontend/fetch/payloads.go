package fetch

import (
	"math/rand/v2"
	"slices"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// load is the payloads of some extents. Payloads from the cache are set at once, and missing
// lists the others.
type load struct {
	payloads []core.Payload
	missing  []missing
}

// missing is an extent whose payload is read from the store.
type missing struct {
	messages.Extent
	payload *core.Payload
	altered objectstore.Altered
	again   bool // the content that was read last does not match, and is read again
}

func (s *Server) load(extents []messages.Extent) load {
	l := load{payloads: make([]core.Payload, len(extents))}
	for i := range extents {
		var ok bool
		if l.payloads[i].Bytes, ok = s.payloads.get(extents[i]); !ok {
			if l.missing == nil {
				l.missing = make([]missing, 0, len(extents)-i)
			}
			l.missing = append(l.missing, missing{Extent: extents[i], payload: &l.payloads[i]})
		}
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
		l.missing[i].payload.Err = err
	}
}
