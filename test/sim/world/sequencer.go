package world

import (
	"time"

	"laneway.dev/pkg/messages"
	sequencer "laneway.dev/services/sequencer/core"
	"laneway.dev/test/sim/check"
)

// SequencerCore is the core of a sequencer.
type SequencerCore struct {
	name   string
	actors actors[*sequencer.Log, sequencer.Event]
	open   int // lanes that it last counted
}

// NewSequencer returns the core of the sequencer with the name.
func NewSequencer(name string, epoch uint64, heartbeat time.Duration, ids IDs) *SequencerCore {
	s := &SequencerCore{name: name}
	s.actors = newActors[*sequencer.Log, sequencer.Event](ids, func() *sequencer.Log { return sequencer.NewLog(epoch, heartbeat) })
	for _, of := range ids.Exist {
		s.add(of)
	}
	s.actors.turn(true, func(core *sequencer.Log, events []sequencer.Event) uint64 {
		return core.Step(Beginning, events).TakeEpoch
	})
	return s
}

func (s *SequencerCore) add(of int) {
	s.actors.add(of, sequencer.Added{Partition: s.actors.partitions[of]})
}

// Step implements Core.
func (s *SequencerCore) Step(now time.Time, events []Event, out *Output) {
	for _, e := range events {
		switch e := e.(type) {
		case *Message:
			e.Each(func(m messages.Message) { s.actors.give(s.actors.index(m.Of()), m) })
		case Added:
			s.add(e.Of)
		case Removed:
			s.actors.give(e.Of, sequencer.Removed{Partition: s.actors.partitions[e.Of]})
		case sequencer.EpochTaken:
			s.actors.giveAsking(e.Epoch, e)
		default:
			s.actors.giveAll(e)
		}
	}
	s.open = 0
	out.TakeEpoch = s.actors.turn(len(events) == 0, func(core *sequencer.Log, events []sequencer.Event) uint64 {
		return s.step(now, core, events, out)
	})
	for _, core := range s.actors.cores {
		s.open += core.Stats().Lanes
	}
	out.Stats.Open = s.open
	for _, e := range out.Send {
		if r, is := e.Message.(messages.Release); is {
			for i := range r.Batches {
				out.See(s.actors.index(r.Partition), check.Turn{By: s.name, Ticket: check.TicketOf(r.Epoch, r.Batches[i].Ticket)})
			}
		}
	}
}

func (s *SequencerCore) step(now time.Time, core *sequencer.Log, events []sequencer.Event, out *Output) (takeEpoch uint64) {
	before := core.Stats()
	fx := core.Step(now, events)
	stats := core.Stats()
	out.Send = append(out.Send, fx.Send...)
	out.Stats.Early += int(stats.Early - before.Early)
	out.Stats.Repeated += int(stats.Repeated - before.Repeated)
	return fx.TakeEpoch
}
