package journal

import (
	"cmp"
	"slices"

	"laneway.dev/pkg/messages"
)

// Needs takes in that a log needs its entries only from a sequence on. The last entry is always
// needed: a log without entries is one that has lost them.
func (x *Index) Needs(id messages.LogID, from uint64) {
	l := x.logs[id]
	if l == nil || from <= l.first {
		return
	}
	n := min(from, l.last()) - l.first
	for _, size := range l.sizes[:n] {
		x.garbage += int64(size)
		l.bytes -= int64(size)
	}
	l.places, l.sizes = slices.Clone(l.places[n:]), slices.Clone(l.sizes[n:])
	l.first += n
}

// Garbage returns how many bytes of entries are not needed any more since Purged, and how many are.
func (x *Index) Garbage() (garbage, needed int64) {
	for _, l := range x.logs {
		needed += l.bytes
	}
	return x.garbage, needed
}

// Purged takes in that as many bytes of garbage as Garbage has returned were removed.
func (x *Index) Purged(garbage int64) { x.garbage -= garbage }

// Purgeable returns the sequence, up to a bound, below which no group is needed once the last
// entries of some logs were appended again, by SectionAgain. These are idle logs, which need only
// that entry and would hold back all others. They come in the order of their places.
func (x *Index) Purgeable(bound uint64) (below uint64, again []messages.LogID) {
	below = bound
	for _, l := range x.logs {
		if len(l.places) > 1 {
			below = min(below, l.oldest(below))
		}
	}
	for id, l := range x.logs {
		if len(l.places) == 1 && l.places[0] < below {
			again = append(again, id)
		}
	}
	slices.SortFunc(again, func(a, b messages.LogID) int {
		return cmp.Or(cmp.Compare(x.logs[a].places[0], x.logs[b].places[0]), compare(a, b))
	})
	return below, again
}

// oldest returns the place of the first entry that is not lost, or a bound if that is lower. Places
// rise from one entry to the next.
func (l *entries) oldest(bound uint64) uint64 {
	for _, place := range l.places {
		if place > 0 {
			return min(bound, place)
		}
	}
	return bound
}

func compare(a, b messages.LogID) int {
	return cmp.Or(cmp.Compare(a.TopicID, b.TopicID), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Incarnation, b.Incarnation))
}
