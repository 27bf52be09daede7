package manifest

import (
	"fmt"
	"slices"

	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// MaxSegments is how many segments a manifest lists. With more, the oldest ListSegments of
	// them move to a list.
	MaxSegments = 512
	// ListSegments is how many segments a list has.
	ListSegments = 256
)

// Manifest says which segments hold the history of a partition.
type Manifest struct {
	Key       string
	Partition protocol.Partition // as it was when the manifest was made
	// Start is the log start offset: records below it are gone.
	Start int64
	// End is the last archived entry, and the offset that follows it.
	End messages.Position
	// Lists are the lists with the segments before Segments, as segment.Join describes them.
	Lists    []segment.Summary
	Segments []segment.Summary
	Waiting  []string // keys of objects that wait for their deletion
}

// List is a part of the segments of a partition.
type List struct {
	Key       string
	Partition protocol.Partition
	Segments  []segment.Summary // at least one
}

// New returns the manifest of a partition of which nothing is archived. It is never stored.
func New(id protocol.Partition) Manifest { return Manifest{Partition: id} }

// History returns what entries of the log say about the manifest, except its size. With lists, only
// the first of them knows the oldest segment, and the History does not name its time and size.
func (m *Manifest) History() messages.History {
	h := messages.History{Manifest: m.Key, Start: m.Start, End: m.End, Bytes: m.Bytes()}
	if len(m.Lists) == 0 && len(m.Segments) > 0 {
		h.Oldest, h.OldestBytes = Age(&m.Segments[0]), m.Segments[0].Size
	}
	return h
}

// Append returns the manifest with this key that lists one segment more. The segment MUST begin
// where m ends. In a later incarnation of the log, sequences between the two may not exist.
//
// If full is not nil, it is a new list with the key listKey. It MUST be stored before the
// manifest, which refers to it. m does not change, and shares no memory with the results that
// Append will ever write to.
func (m *Manifest) Append(key string, s segment.Summary, listKey string) (next *Manifest, full *List, err error) {
	if err := m.follows(&s); err != nil {
		return nil, nil, err
	}
	next = &Manifest{
		Key: key, Partition: m.Partition, Start: m.Start, End: messages.Position{Sequence: s.Last, Offset: s.End},
		Lists: m.Lists, Segments: append(slices.Clip(m.Segments), s), Waiting: m.Waiting,
	}
	next.Partition.Incarnation = s.Incarnation
	if m.End.Sequence == 0 {
		next.Start = s.Base
	}
	if len(next.Segments) > MaxSegments {
		next, full = next.Fold(ListSegments, listKey)
	}
	return next, full, nil
}

// Fold returns the manifest with its oldest n segments in a list with this key, which MUST be stored
// before the manifest. m does not change.
func (m *Manifest) Fold(n int, key string) (*Manifest, *List) {
	full := &List{Key: key, Partition: m.Partition, Segments: m.Segments[:n:n]}
	next := *m
	next.Lists = append(slices.Clip(m.Lists), segment.Join(key, full.Segments))
	next.Segments = m.Segments[n:]
	return &next, full
}

// follows checks that a segment begins where the manifest ends.
func (m *Manifest) follows(s *segment.Summary) error {
	what := fmt.Sprintf("segment %q of %s with entries %d to %d", s.Key, m.Partition, s.First, s.Last)
	switch {
	case m.End.Sequence == 0: // the first segment of the partition
		return nil
	case !consecutive(m.End.Sequence, m.Partition.Incarnation, s):
		return fmt.Errorf("%s does not follow entry %d", what, m.End.Sequence)
	case s.Base != m.End.Offset:
		return fmt.Errorf("%s begins at offset %d, and offset %d is next", what, s.Base, m.End.Offset)
	}
	return nil
}

// consecutive reports whether s may follow the last entry of what comes before it, which is of
// an incarnation. Each incarnation of a log begins above all sequences of the one before it. A
// list counts as one of its last incarnation.
func consecutive(last uint64, incarnation uint32, s *segment.Summary) bool {
	if s.Incarnation > incarnation {
		return s.First > last
	}
	return s.Incarnation == incarnation && s.First == last+1
}

// wrong returns what is inconsistent about consecutive segments or lists, or "".
func wrong(segments []segment.Summary) string {
	for i := 1; i < len(segments); i++ {
		before, s := &segments[i-1], &segments[i]
		if s.Base != before.End || !consecutive(before.Last, before.Incarnation, s) {
			return fmt.Sprintf("%q does not follow %q", s.Key, before.Key)
		}
	}
	return ""
}
