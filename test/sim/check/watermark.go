package check

import (
	"laneway.dev/internal/core/generation"
	"laneway.dev/pkg/messages"
)

// Everything in the object store below the watermark of a log may be deleted at any time, unless
// its history leads to it. These checks promise that the log refers to nothing that was deleted.

// slowest is by how many generations writers may be behind at least.
const slowest = 2

// Raised is a new generation of objects.
type Raised struct{ Generation uint64 }

func (r Raised) look(s *State) {
	s.generation = r.Generation
}

// watermarked checks the watermark of an entry, and that the entry refers to nothing below it, or
// below the one before it. The history of the entry is known already.
func (s *State) watermarked(e *messages.LoggedEntry) {
	n := &e.Entry
	switch {
	case n.Watermark < s.watermark:
		s.violated("watermark: that of entry %d is %d after %d", e.Sequence, n.Watermark, s.watermark)
	case n.Watermark > 0 && n.Watermark+slowest > s.generation:
		s.violated("watermark: that of entry %d is %d in generation %d", e.Sequence, n.Watermark, s.generation)
	}
	for i := range n.Batches {
		s.mayBeGone(e, n.Batches[i].Extent, n.Watermark)
	}
	if n.Watermark == s.watermark {
		return
	}
	s.watermark = n.Watermark
	s.counts.Watermarks++
	for _, f := range s.frames {
		if f.offset >= s.archived.End.Offset {
			s.mayBeGone(e, f.extent, n.Watermark)
		}
	}
}

// mayBeGone checks that the object of a batch that is not archived is not below a watermark.
func (s *State) mayBeGone(e *messages.LoggedEntry, x messages.Extent, watermark uint64) {
	if x.Key != "" && generation.OfKey(x.Key) < watermark {
		s.violated("watermark: that of entry %d is %d, and the log needs %s", e.Sequence, watermark, x.Key)
	}
}

// newInHistory checks that an object to which the history leads for the first time was not below
// the watermark before, and could not be deleted.
func (s *State) newInHistory(key string) {
	if generation.OfKey(key) < s.watermark {
		s.violated("watermark: it is %d, and the history leads to %s from now on", s.watermark, key)
	}
}
