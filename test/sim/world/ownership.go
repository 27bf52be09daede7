package world

import (
	"slices"
	"time"

	"laneway.dev/internal/core/ownership"
	frontend "laneway.dev/services/frontend/core"
	replicator "laneway.dev/services/replicator/core"
	sequencer "laneway.dev/services/sequencer/core"
	"laneway.dev/test/sim/check"
)

// Registry keeps the assignment of each role.
type Registry struct {
	Assignments [roles]ownership.Assignment
	Clock       time.Time // where the epochs of a role without an assignment start
	// Taken has all epochs that were ever taken. None of them is taken again: the simulation
	// leaves out that a lost registry assigns an epoch a second time. Taken is nil for a
	// scheduler that does not lose the registry.
	Taken map[uint64]bool
}

// Lose loses all assignments.
func (g *Registry) Lose(clock time.Time) { *g = Registry{Clock: clock, Taken: g.Taken} }

// takeEpoch takes the next epoch of its role for a process, above the epoch that has fenced
// it. It takes none and returns true if a younger process has the role.
func (w *World) takeEpoch(p *Process, above uint64) (replaced bool) {
	if above != 0 && p.Epoch > above {
		return false // another partition was fenced first
	}
	g, own := &w.Registry, ownership.Assignment{Epoch: p.Epoch, Instance: p.Name}
	next, replaced := own.Next(g.Assignments[p.Role], above, g.Clock)
	if replaced {
		return true
	}
	for g.Taken[next.Epoch] {
		next, _ = own.Next(g.Assignments[p.Role], next.Epoch, g.Clock)
	}
	if g.Taken != nil {
		g.Taken[next.Epoch] = true
	}
	g.Assignments[p.Role], p.Epoch = next, next.Epoch
	return false
}

// Fenced gives a process that was fenced an epoch above another one, or ends it if a younger owner of
// its role exists. In production, a replicator also waits before it claims a log, until the record of its role says
// that it owns the log. Here it does not, as if the record could not be read.
func (w *World) Fenced(p *Process, above uint64) {
	old := p.Epoch
	p.fenced--
	replaced := w.takeEpoch(p, above)
	switch {
	case p.Role == Frontend && replaced:
		for _, id := range w.ids {
			w.step(p, frontend.Ending{Partition: id, Replaced: true})
		}
		w.closeFetches(p)
		w.Die(p, Replaced)
	case p.Role == Frontend:
		w.renew(p, old)
	case replaced:
		w.Die(p, Replaced)
	case p.Role == Sequencer:
		w.step(p, sequencer.EpochTaken{Epoch: p.Epoch})
	default:
		w.Say("%s takes the epoch %d", p, p.Epoch)
		w.step(p, replicator.EpochTaken{Epoch: p.Epoch})
	}
}

// renew lets a frontend continue in a new epoch on the partitions that were fenced, and checks that it
// has answered everything of the old one there. On the others it continues in their epoch.
func (w *World) renew(p *Process, old uint64) {
	if old != p.Epoch {
		p.Earlier = append(slices.Clip(p.Earlier), old)
	}
	p.renewing = true
	before := p.Stats.Of
	w.step(p, frontend.EpochTaken{Epoch: p.Epoch})
	renewed := func(of int) bool { return p.Stats.Of[of].Epoch != before[of].Epoch }
	for _, r := range p.unanswered {
		if renewed(r.Partition) {
			w.violated(w.Partitions[r.Partition], "I3: %s has given up its epoch, and has not answered %s", p, r)
		}
	}
	p.renewing, p.unanswered = false, nil
	for of := range w.Partitions {
		if renewed(of) {
			w.See(of, check.Abandoned{By: p.Name, Epoch: before[of].Epoch})
		}
	}
}
