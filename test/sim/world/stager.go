package world

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend/core/stagerwatch"
	stager "laneway.dev/services/stager/core"
	"laneway.dev/test/sim/check"
)

// StagerCore is the core of a stager.
type StagerCore struct {
	name string
	core *stager.Core
}

// NewStager returns the core of the stager with the name, which replaces that in the settings.
func NewStager(name string, settings stager.Settings) StagerCore {
	settings.Name = name
	return StagerCore{name, stager.NewCore(settings)}
}

// Step implements Core.
func (s StagerCore) Step(now time.Time, events []Event, out *Output) {
	taken := make([]stager.Event, len(events))
	for i, e := range events {
		taken[i] = e
		if m, is := e.(*Message); is {
			taken[i] = m.Decode()
		}
		if m, is := taken[i].(messages.Stage); is {
			for n := range m.Batches {
				out.Seen = append(out.Seen, check.Taken{By: s.name, Ticket: check.TicketOf(m.Epoch, m.Batches[n].Ticket)})
			}
		}
	}
	fx := s.core.Step(now, taken)
	out.Send, out.Uploads, out.Stats = fx.Send, fx.Uploads, Stats{Open: int(s.core.Stats().Held)}
	for _, e := range fx.Send {
		out.Seen = s.says(e.Message, out.Seen)
	}
}

// says adds what a message of the stager says of its batches.
func (s StagerCore) says(m messages.Message, seen []check.Sighting) []check.Sighting {
	switch m := m.(type) {
	case messages.Holding:
		for i := range m.Held {
			seen = append(seen, check.Reporting{By: s.name, Ticket: check.TicketOf(m.Epoch, m.Held[i].Ticket)})
		}
	case messages.Staged:
		for i := range m.Batches {
			seen = append(seen, check.Returned{By: s.name, Ticket: check.TicketOf(m.Epoch, m.Batches[i].Ticket)})
		}
	case messages.Refused:
		for i := range m.Refusals {
			seen = append(seen, check.Returned{By: s.name, Ticket: check.TicketOf(m.Epoch, m.Refusals[i].Ticket)})
		}
	}
	return seen
}

// ticks are the events with which processes notice the time.
var ticks = [roles][]Event{Frontend: {stagerwatch.RoundEnds{}}}

// announce sends the announcement of a stager to the frontends, and checks that it has
// reported what it holds.
func (w *World) announce(p *Process) {
	w.See(check.Turned{By: p.Name})
	to := w.listening[:0]
	for _, f := range w.Processes {
		if f.Role == Frontend && !f.Dead {
			to = append(to, f)
		}
	}
	w.listening = to
	w.scheduler.Announce(p, to)
}
