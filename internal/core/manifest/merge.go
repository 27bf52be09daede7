package manifest

import (
	"fmt"
	"slices"

	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
)

// Merge returns the manifest with this key in which one segment replaces the last n, of which there
// MUST be at least one. The segment MUST have all of their entries and may have more after them. Their
// objects wait for their deletion from then on. The log start offset stays. m does not change, and
// shares no memory with the result that Merge or Append will ever write to.
func (m *Manifest) Merge(key string, n int, s segment.Summary) (*Manifest, error) {
	kept := len(m.Segments) - n
	replaced := segment.Join("the segments before", m.Segments[kept:])
	switch {
	case s.Incarnation != replaced.Incarnation || s.Incarnation != m.Segments[kept].Incarnation:
		return nil, fmt.Errorf("segment %q of incarnation %d replaces segments of others", s.Key, s.Incarnation)
	case s.First != replaced.First || s.Base != replaced.Base || s.Last < replaced.Last || s.End < replaced.End:
		return nil, fmt.Errorf("segment %q has entries %d to %d, and replaces segments with entries %d to %d", s.Key, s.First, s.Last, replaced.First, replaced.Last)
	}
	next := *m
	next.Key, next.End = key, messages.Position{Sequence: s.Last, Offset: s.End}
	next.Segments = append(slices.Clone(m.Segments[:kept]), s)
	next.Waiting = slices.Clip(m.Waiting)
	for i := range m.Segments[kept:] {
		next.Waiting = append(next.Waiting, m.Segments[kept+i].Key)
	}
	return &next, nil
}
