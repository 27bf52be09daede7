package world

import (
	"strings"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/core/fetch"
	"laneway.dev/services/frontend/core/stagerwatch"
	"laneway.dev/test/sim/check"
)

// FrontendCore is the core of a frontend, with its watch over the stagers.
type FrontendCore struct {
	name      string
	actors    actors[*frontend.Log, frontend.Event]
	watch     stagerwatch.Watch
	exist     []int // partitions that exist when it starts; nil once it has them
	announced bool  // a stager has announced itself
	stats     [MostPartitions]PartitionStats
	givenUp   [MostPartitions]uint64 // tickets
}

// NewFrontend returns the core of the frontend with the name. Batches of up to inline bytes may
// travel in the log.
func NewFrontend(name string, epoch uint64, times frontend.Times, inline int64, ids IDs) *FrontendCore {
	start := func() *frontend.Log {
		core := frontend.NewLog(epoch, times)
		core.AllowInline(inline)
		return core
	}
	return &FrontendCore{name: name, actors: newActors[*frontend.Log, frontend.Event](ids, start), exist: ids.Exist}
}

// Step implements Core.
func (f *FrontendCore) Step(now time.Time, events []Event, out *Output) {
	for _, of := range f.exist {
		f.add(of)
	}
	f.exist = nil
	var heard []Seen
	timePasses := len(events) == 0
	for _, e := range events {
		timePasses = timePasses || e == Event(stagerwatch.RoundEnds{})
		heard = f.event(e, heard, out)
	}
	out.TakeEpoch = f.actors.turn(timePasses, func(core *frontend.Log, events []frontend.Event) uint64 {
		return f.step(now, core, events, out)
	})
	for _, e := range out.Send {
		switch m := e.Message.(type) {
		case messages.Stage:
			f.issued(e.Subject, &m, out)
		case messages.Announce:
			f.stats[f.index(m.Partition)].Epoch = m.Epoch
		}
	}
	// Of the arrivals in a turn, some may be later than the cause of a request. They count
	// from the next turn.
	out.Seen = append(out.Seen, heard...)
	out.Stats.Of = f.stats
	for of := range f.stats {
		out.Stats.Open += f.stats[of].Open
	}
}

func (f *FrontendCore) add(of int) {
	f.actors.add(of, frontend.Added{Partition: f.actors.partitions[of]})
}

func (f *FrontendCore) index(id protocol.Partition) int { return f.actors.index(id) }

// step lets the actor of a log take a turn.
func (f *FrontendCore) step(now time.Time, core *frontend.Log, events []frontend.Event, out *Output) (takeEpoch uint64) {
	fx := core.Step(now, events)
	out.Send = append(out.Send, fx.Send...)
	for _, id := range fx.Ready {
		out.Ready = append(out.Ready, f.index(id))
	}
	for i := range fx.Answers {
		out.Answers = append(out.Answers, answerOf(&fx.Answers[i]))
	}
	for i := range fx.Turned {
		of, stats := f.index(fx.Turned[i].Partition), &fx.Turned[i].Stats
		f.stats[of].Open = stats.Outstanding
		out.Stats.GivenUp += int(stats.GivenUp - f.givenUp[of])
		f.givenUp[of] = stats.GivenUp
	}
	return fx.TakeEpoch
}

// event gives an event to the actors that it is for. It adds what the event says of the batches that
// stagers have.
func (f *FrontendCore) event(e Event, heard []Seen, out *Output) []Seen {
	switch e := e.(type) {
	case Request:
		f.actors.give(e.Partition, e.produce(f.actors.partitions[e.Partition]))
	case *Message:
		e.Each(func(m messages.Message) {
			f.message(m, out)
			heard = f.heard(m, heard)
		})
	case stagerwatch.Alive:
		f.announced = true
		out.See(check.All, check.Announced{To: f.name, Stager: e.Name})
		f.watches(e)
	case stagerwatch.RoundEnds:
		if f.announced {
			out.See(check.All, check.Round{Of: f.name})
		}
		f.watches(e)
	case Added:
		f.add(e.Of)
	case frontend.EpochTaken:
		f.actors.giveAsking(e.Epoch, e)
	case frontend.Ending:
		f.actors.give(f.index(e.Partition), e)
	case frontend.Removed:
		f.actors.give(f.index(e.Partition), e)
	}
	return heard
}

// message gives a message to its actor.
func (f *FrontendCore) message(m messages.Message, out *Output) {
	of := f.index(m.Of())
	switch m := m.(type) {
	case messages.ProducerFenced:
		out.Fenced = append(out.Fenced, m)
	case messages.Truncated:
		out.Truncated = append(out.Truncated, m)
	case messages.Committed:
		entry := decodeEntry(m.Entry)
		state := fetch.LogState{Last: m.Sequence, Readable: m.Sequence, Offset: entry.NextOffset(), History: entry.History}
		out.Ends = append(out.Ends, End{of, state})
		f.actors.give(of, frontend.CommittedEntry{Partition: m.Partition, Entry: entry})
	default:
		f.actors.give(of, m)
	}
}

// watches reports to the actors what an event of the watch changes.
func (f *FrontendCore) watches(e Event) {
	if f.watch.Step(e) {
		f.actors.giveAll(frontend.Stagers{Live: f.watch.Live()})
	}
}

// heard adds what a message says of the batches that stagers have.
func (f *FrontendCore) heard(m messages.Message, seen []Seen) []Seen {
	switch m := m.(type) {
	case messages.Refused:
		for i := range m.Refusals {
			r := &m.Refusals[i]
			seen = append(seen, Seen{f.index(m.Partition), check.TurnedAway{Ticket: check.TicketOf(m.Epoch, r.Ticket), Attempt: r.Attempt, By: m.Stager}})
		}
	case messages.Holding:
		for i := range m.Held {
			h := &m.Held[i]
			seen = append(seen, Seen{f.index(m.Partition), check.Reported{Ticket: check.TicketOf(m.Epoch, h.Ticket), Attempt: h.Attempt, By: m.Stager}})
		}
	}
	return seen
}

func (f *FrontendCore) issued(subject string, stage *messages.Stage, out *Output) {
	stager, named := strings.CutPrefix(subject, messages.StagerSubject(""))
	if !named {
		stager = "" // any
	}
	for i := range stage.Batches {
		b := &stage.Batches[i]
		out.See(f.index(stage.Partition), check.Issued{
			By: f.name, Ticket: check.TicketOf(stage.Epoch, b.Ticket), Batch: check.ReadBatch(b.Payload),
			MessageID: b.MessageID, Expect: b.Expect, Idempotent: b.Sequence.ProducerID != 0, Attempt: b.Attempt, Stager: stager,
		})
	}
}

func answerOf(a *frontend.Answer) Answer {
	out := Answer{
		Request: a.Request.(Request), Offset: a.Offset, Duplicate: a.Duplicate,
		Ticket: check.TicketOf(a.Epoch, messages.Ticket{Lane: a.Lane, Number: a.Number}),
	}
	if a.Error != nil {
		out.Code, out.Detail = a.Error.Code, a.Error.Detail
	} else {
		out.Code = protocol.CodeOK
	}
	return out
}

func decodeEntry(data []byte) messages.Entry {
	entry, err := messages.DecodeEntry(data)
	if err != nil {
		panic("wire: an entry cannot be decoded: " + err.Error())
	}
	return entry
}
