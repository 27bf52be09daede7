package world

import (
	"slices"

	"laneway.dev/pkg/protocol"
)

// actors are the actors of a process: one for each log number of its partitions. Each has a core of
// type L, whose events have type E. In most worlds all partitions have the same log number.
type actors[L, E any] struct {
	partitions []protocol.Partition
	place      []int  // by partition: its actor
	has        []bool // by partition: it was added
	cores      []L
	asked      []uint64 // by actor: the epoch above which it has asked for one; 0 if it has not
	events     [][]E    // by actor, of the present step
}

func newActors[L, E any](ids IDs, start func() L) actors[L, E] {
	a := actors[L, E]{partitions: ids.All, has: make([]bool, len(ids.All))}
	var logs []uint16
	for _, id := range ids.All {
		at := slices.Index(logs, id.Log)
		if at < 0 {
			at = len(logs)
			logs, a.cores = append(logs, id.Log), append(a.cores, start())
		}
		a.place = append(a.place, at)
	}
	a.asked, a.events = make([]uint64, len(logs)), make([][]E, len(logs))
	return a
}

// index returns the index of a partition.
func (a *actors[L, E]) index(id protocol.Partition) int { return indexOf(a.partitions, id) }

// add adds a partition with an event, unless it was added before.
func (a *actors[L, E]) add(of int, added E) {
	if !a.has[of] {
		a.has[of] = true
		a.give(of, added)
	}
}

// give gives an event to the actor of a partition, by its index.
func (a *actors[L, E]) give(of int, e E) {
	at := a.place[of]
	a.events[at] = append(a.events[at], e)
}

// giveAll gives an event to all actors.
func (a *actors[L, E]) giveAll(e E) {
	for at := range a.events {
		a.events[at] = append(a.events[at], e)
	}
}

// giveAsking gives an epoch, as an event, to the actors that have asked for one.
func (a *actors[L, E]) giveAsking(epoch uint64, e E) {
	for at := range a.events {
		if a.asked[at] == 0 {
			continue
		}
		if a.asked[at] < epoch {
			a.asked[at] = 0
		}
		a.events[at] = append(a.events[at], e)
	}
}

// turn lets the actors that have events take a turn; all of them if time has passed. step returns the
// epoch above which the actor needs one; 0 if it needs none. turn returns the highest one.
func (a *actors[L, E]) turn(timePasses bool, step func(core L, events []E) (takeEpoch uint64)) (takeEpoch uint64) {
	for at, core := range a.cores {
		events := a.events[at]
		a.events[at] = nil
		if len(events) == 0 && !timePasses {
			continue
		}
		if above := step(core, events); above != 0 {
			a.asked[at] = max(a.asked[at], above)
			takeEpoch = max(takeEpoch, above)
		}
	}
	return takeEpoch
}
