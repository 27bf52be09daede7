package world

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/stagerwatch"
	stager "laneway.dev/services/stager/core"
	"laneway.dev/test/sim/check"
)

// StagerCore is the core of a stager.
type StagerCore struct {
	name       string
	core       *stager.Core
	partitions []protocol.Partition
}

// NewStager returns the core of the stager with the name, which replaces that in the settings.
func NewStager(name string, settings stager.Settings, ids IDs) StagerCore {
	settings.Name = name
	return StagerCore{name, stager.NewCore(settings), ids.All}
}

// Step implements Core.
func (s StagerCore) Step(now time.Time, events []Event, out *Output) {
	taken := make([]stager.Event, 0, len(events))
	for _, e := range events {
		if m, is := e.(*Message); is {
			m.Each(func(m messages.Message) { taken = append(taken, m) })
		} else {
			taken = append(taken, e)
		}
	}
	for _, e := range taken {
		if m, is := e.(messages.Stage); is {
			for n := range m.Batches {
				out.See(s.index(m), check.Taken{By: s.name, Ticket: check.TicketOf(m.Epoch, m.Batches[n].Ticket)})
			}
		}
	}
	fx := s.core.Step(now, taken)
	out.Send, out.Uploads, out.Stats = fx.Send, fx.Uploads, Stats{Open: int(s.core.Stats().Held)}
	for _, e := range fx.Send {
		s.says(e.Message, out)
	}
}

func (s StagerCore) index(m messages.Message) int { return indexOf(s.partitions, m.Of()) }

// says shows to the checks what a message of the stager says of its batches.
func (s StagerCore) says(m messages.Message, out *Output) {
	switch m := m.(type) {
	case messages.Holding:
		for i := range m.Held {
			out.See(s.index(m), check.Reporting{By: s.name, Ticket: check.TicketOf(m.Epoch, m.Held[i].Ticket)})
		}
	case messages.Staged:
		for i := range m.Batches {
			out.See(s.index(m), check.Returned{By: s.name, Ticket: check.TicketOf(m.Epoch, m.Batches[i].Ticket)})
		}
	case messages.Refused:
		for i := range m.Refusals {
			out.See(s.index(m), check.Returned{By: s.name, Ticket: check.TicketOf(m.Epoch, m.Refusals[i].Ticket)})
		}
	}
}

// ticks are the events with which processes notice the time.
var ticks = [roles][]Event{Frontend: {stagerwatch.RoundEnds{}}}

// announce sends the announcement of a stager to the frontends, and checks that it has
// reported what it holds.
func (w *World) announce(p *Process) {
	w.See(check.All, check.Turned{By: p.Name})
	to := w.listening[:0]
	for _, f := range w.Processes {
		if f.Role == Frontend && !f.Dead {
			to = append(to, f)
		}
	}
	w.listening = to
	w.scheduler.Announce(p, to)
}
