package producers

import (
	"slices"

	"laneway.dev/pkg/messages"
)

// List returns the producers with the lowest ids above after, at most limit of them, sorted
// by id, and whether there are more. Its time grows with the number of all producers.
func (t *Table) List(after int64, limit int) (listed []messages.KnownProducer, more bool) {
	// The lowest ids, in a heap with the highest of them at its root.
	lowest := make([]int64, 0, limit)
	for id, p := range t.byID {
		switch {
		case id <= after || p.epoch == noEpoch:
		case len(lowest) < limit:
			lowest = append(lowest, id)
			rise(lowest)
		default:
			more = true
			if limit > 0 && id < lowest[0] {
				lowest[0] = id
				sink(lowest)
			}
		}
	}
	slices.Sort(lowest)
	for _, id := range lowest {
		listed = append(listed, t.known(t.byID[id]))
	}
	return listed, more
}

// rise moves the last element of a max-heap up to its place.
func rise(heap []int64) {
	for i := len(heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if heap[parent] >= heap[i] {
			return
		}
		heap[parent], heap[i] = heap[i], heap[parent]
		i = parent
	}
}

// sink moves the root of a max-heap down to its place.
func sink(heap []int64) {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && heap[child+1] > heap[child] {
			child++
		}
		if heap[i] >= heap[child] {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}
