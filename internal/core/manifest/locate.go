package manifest

import (
	"sort"

	"laneway.dev/internal/core/segment"
)

// Place is the segment where a search continues, or a list that has this segment.
type Place struct {
	segment.Summary
	List bool // whether Key is that of a list
}

// Locate returns the first segment that has an entry with this sequence or a later one. ok is
// false if the sequence is above m.End.Sequence.
func (m *Manifest) Locate(sequence uint64) (p Place, ok bool) {
	return m.find(func(s *segment.Summary) bool { return s.Last >= sequence })
}

// LocateOffset returns the first segment that ends after this offset. Its first entry to end
// after the offset has it, or follows the gap that has it. ok is false if the offset is not
// below m.End.Offset. Offsets before the first segment are found in that one.
func (m *Manifest) LocateOffset(offset int64) (p Place, ok bool) {
	return m.find(func(s *segment.Summary) bool { return s.End > offset })
}

// Locate is Manifest.Locate for the segments of a list.
func (l *List) Locate(sequence uint64) (s segment.Summary, ok bool) {
	return find(l.Segments, func(s *segment.Summary) bool { return s.Last >= sequence })
}

// LocateOffset is Manifest.LocateOffset for the segments of a list.
func (l *List) LocateOffset(offset int64) (s segment.Summary, ok bool) {
	return find(l.Segments, func(s *segment.Summary) bool { return s.End > offset })
}

// NarrowTime narrows a search by time with the entries whose times the manifest has, see
// segment.Narrow. The result lies within one segment, or within one list.
func (m *Manifest) NarrowTime(low, above uint64, t int64) (newLow, newAbove uint64) {
	low, above = narrow(m.Lists, low, above, t)
	return narrow(m.Segments, low, above, t)
}

// NarrowTime is Manifest.NarrowTime for the segments of a list.
func (l *List) NarrowTime(low, above uint64, t int64) (newLow, newAbove uint64) {
	return narrow(l.Segments, low, above, t)
}

func narrow(segments []segment.Summary, low, above uint64, t int64) (newLow, newAbove uint64) {
	for i := range segments {
		low, above = segments[i].NarrowTime(low, above, t)
	}
	return low, above
}

func (m *Manifest) find(reaches func(*segment.Summary) bool) (Place, bool) {
	if s, ok := find(m.Lists, reaches); ok {
		return Place{s, true}, true
	}
	s, ok := find(m.Segments, reaches)
	return Place{s, false}, ok
}

// find returns the first segment that reaches the target. All later ones reach it as well.
func find(segments []segment.Summary, reaches func(*segment.Summary) bool) (segment.Summary, bool) {
	i := sort.Search(len(segments), func(i int) bool { return reaches(&segments[i]) })
	if i == len(segments) {
		return segment.Summary{}, false
	}
	return segments[i], true
}
