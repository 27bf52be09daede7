package check

import (
	"fmt"
	"time"

	"laneway.dev/internal/core/generation"
	"laneway.dev/pkg/messages"
)

// All is in the place of the index of a partition where a sighting concerns all of them.
const All = -1

// Partitions are the states of the partitions of one world, by their indexes. They share an object
// store, and the counts.
type Partitions []*State

// NewPartitions returns the states of n partitions; see New.
func NewPartitions(n int, limits *Limits, counts *Counts, created time.Time) Partitions {
	all := make(Partitions, n)
	for i := range all {
		all[i] = New(limits, counts, created)
	}
	return all
}

// See is that of State, for the partition with the index, or for all of them.
func (all Partitions) See(now time.Time, of int, what Sighting) error {
	if of != All {
		return all.named(of, all[of].See(now, what))
	}
	switch what := what.(type) {
	case Swept:
		return all.swept(what)
	case Deleted:
		all[0].counts.Deleted++
	case Raised:
		all[0].counts.Generations++
	}
	for i, s := range all {
		if err := s.See(now, what); err != nil {
			return all.named(i, err)
		}
	}
	return nil
}

// named returns a violation with the name of its partition, if there are several.
func (all Partitions) named(of int, violation error) error {
	if violation == nil || len(all) == 1 {
		return violation
	}
	return fmt.Errorf("partition %d: %w", of, violation)
}

// swept checks that a sweep has left nothing to which no log leads.
func (all Partitions) swept(w Swept) error {
	left := ""
	for key := range all[0].useless {
		if generation.OfKey(key) < w.Bound && all.useless(key, w.Began) && (left == "" || key < left) {
			left = key
		}
	}
	if left == "" {
		return nil
	}
	return fmt.Errorf("store: %s was there when a sweep of what is below %d began, no log leads to it, and it is left", left, w.Bound)
}

// useless reports whether an object was there before a time, and no log has led to it since.
func (all Partitions) useless(key string, began time.Time) bool {
	for _, s := range all {
		since, there := s.useless[key]
		if s.removed {
			since, there = s.now, true // when it was removed
		}
		if !there || !since.Before(began) || s.Reachable(key) {
			return false
		}
	}
	return true
}

// Reachable reports whether a log leads to an object: see State.Reachable.
func (all Partitions) Reachable(key string) bool {
	for _, s := range all {
		if s.Reachable(key) {
			return true
		}
	}
	return false
}

// Content returns what is stored at an extent, of whichever partition.
func (all Partitions) Content(x messages.Extent) Batch {
	for _, s := range all { // those that are deleted, too
		if batch, is := s.stored[x]; is {
			return batch
		}
	}
	return Batch{}
}
