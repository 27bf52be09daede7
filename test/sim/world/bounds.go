package world

import (
	"laneway.dev/test/sim/check"
)

// Bounds are what processes may remember.
type Bounds struct{ StagerBytes, Producers, MessageIDs int }

// bounded checks that the memory of a process follows what is there, not what ever was.
func (w *World) bounded(p *Process) {
	switch n := p.Stats; p.Role {
	case Frontend:
		w.outstanding(p)
	case Stager:
		if w.Bounds.StagerBytes > 0 && n.Open > w.Bounds.StagerBytes {
			w.Violated("memory: %s holds %d bytes, allowed are %d", p, n.Open, w.Bounds.StagerBytes)
		}
	case Sequencer:
		if n.Open > len(w.Clients) {
			w.Violated("memory: %s keeps %d lanes of %d clients", p, n.Open, len(w.Clients))
		}
	case Replicator:
		for _, of := range w.Partitions {
			if n := n.Of[of.Index]; n.Open > len(w.Clients) || n.Producers > w.Bounds.Producers || n.IDs > w.Bounds.MessageIDs {
				w.violated(of, "memory: %s keeps %d lanes, %d producers, %d message ids, of %d clients and %d ids",
					p, n.Open, n.Producers, n.IDs, len(w.Clients), w.Bounds.MessageIDs)
			}
		}
	}
}

// outstanding shows to the checks which tickets a frontend keeps. While it waits for an epoch, it
// withholds answers.
func (w *World) outstanding(p *Process) {
	if p.fenced > 0 {
		return
	}
	for of := range w.Partitions {
		n := &p.Stats.Of[of]
		w.See(of, check.Outstanding{By: p.Name, Epoch: n.Epoch, Tickets: n.Open, Stalled: p.Hangs})
	}
}

// Left checks, once everything is resolved, that no process keeps state for it. A
// replicator keeps producers and message ids until they expire; expired means that they
// have.
func (w *World) Left(expired bool) {
	for _, p := range w.Processes {
		n, what := p.Stats.Open, map[Role]string{Frontend: "tickets", Stager: "bytes", Sequencer: "lanes"}[p.Role]
		switch {
		case p.Dead:
			continue
		case p.Role == Frontend:
			w.outstanding(p)
		case p.Role == Replicator && expired:
			n, what = p.remembered(), "producers, message ids and lanes"
		case p.Role == Replicator:
			continue
		}
		if n > 0 {
			w.Violated("I3: %s is left with %d %s", p, n, what)
		}
	}
}

// remembered returns how much a replicator keeps of the logs that it leads.
func (p *Process) remembered() (n int) {
	for _, of := range p.Stats.Of {
		if of.Leading {
			n += of.Open + of.Producers + of.IDs
		}
	}
	return n
}
