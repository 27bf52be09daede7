package journal

import (
	"cmp"
	"slices"

	"laneway.dev/pkg/messages"
)

// trim takes in that a log needs its entries only from a sequence on. The last entry is always
// needed: a log without entries is one that has lost them.
func (x *Index) trim(l *entries, from uint64) {
	if from = min(from, l.last()); from > l.first {
		x.drop(l, from-l.first)
	}
}

// drop drops the first n entries of a log, at least one.
func (x *Index) drop(l *entries, n uint64) {
	var bytes int64
	for _, size := range l.sizes[:n] {
		bytes += int64(size)
	}
	l.bytes -= bytes
	x.waste(bytes)
	l.places, l.sizes = slices.Clone(l.places[n:]), slices.Clone(l.sizes[n:])
	l.first, l.begun = l.first+n, false
}

// Begins takes in that the groups below a sequence were purged, once all groups from there on were applied.
// They had only entries that no log needs, or which were appended again. A log of which none is left was
// deleted, in a group that was purged before this reader came to it.
func (x *Index) Begins(first uint64) {
	if first <= x.first {
		return
	}
	x.first = first
	for id, l := range x.logs {
		if l.places[len(l.places)-1] < first {
			x.needed -= l.bytes
			x.remove(id)
			continue
		}
		n := 0
		for n < len(l.places)-1 && l.places[n] < first {
			n++
		}
		if n > 0 {
			x.drop(l, uint64(n))
		}
	}
}

// Garbage returns how many bytes of entries in the journal are not needed, as far as that is
// known, and how many are.
func (x *Index) Garbage() (garbage, needed int64) { return x.garbage, x.needed }

// Purged takes in a purge after which so many bytes of garbage less are left.
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
