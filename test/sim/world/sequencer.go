package world

import (
	"time"

	"laneway.dev/pkg/messages"
	sequencer "laneway.dev/services/sequencer/core"
	"laneway.dev/test/sim/check"
)

// SequencerCore is the core of a sequencer: a log with one partition.
type SequencerCore struct {
	name string
	core *sequencer.Log
	open int // lanes that it last counted
}

// NewSequencer returns the core of the sequencer with the name.
func NewSequencer(name string, epoch uint64, heartbeat time.Duration) *SequencerCore {
	s := &SequencerCore{name: name, core: sequencer.NewLog(epoch, heartbeat)}
	s.core.Step(Beginning, []sequencer.Event{sequencer.Added{Partition: Partition}})
	return s
}

// Step implements Core.
func (s *SequencerCore) Step(now time.Time, events []Event, out *Output) {
	taken := make([]sequencer.Event, len(events))
	for i, e := range events {
		if m, is := e.(*Message); is {
			taken[i] = m.Decode()
		} else {
			taken[i] = e
		}
	}
	before := s.core.Stats()
	fx := s.core.Step(now, taken)
	stats := s.core.Stats()
	s.open = stats.Lanes
	out.Send, out.TakeEpoch, out.Ended = fx.Send, fx.TakeEpoch, fx.Ended
	out.Stats = Stats{Open: s.open, Early: int(stats.Early - before.Early), Repeated: int(stats.Repeated - before.Repeated)}
	for _, e := range fx.Send {
		if r, is := e.Message.(messages.Release); is {
			for i := range r.Batches {
				out.Seen = append(out.Seen, check.Turn{By: s.name, Ticket: check.TicketOf(r.Epoch, r.Batches[i].Ticket)})
			}
		}
	}
}
