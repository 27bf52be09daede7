package world

import (
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/check"
)

// Raise raises the generation of objects to a number. Processes learn of it by Know.
func (w *World) Raise(to uint64) {
	w.Generation = to
	w.Say("the generation of objects is %d", to)
	w.See(check.All, check.Raised{Generation: to})
}

// Know lets a process learn of a generation. It may be an old one.
func (w *World) Know(p *Process, generation uint64) {
	switch p.Role {
	case Stager, Archiver:
		if !p.Dead {
			p.Generation = max(p.Generation, generation)
		}
	case Replicator:
		w.Deliver(p, replicator.Generation{Newest: generation})
	}
}

// Watermark returns that of the newest entry of the log.
func (l *Log) Watermark() uint64 { return l.Committed[len(l.Committed)-1].Entry.Entry.Watermark }
