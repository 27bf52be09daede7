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
	core      *frontend.Log // with one partition
	watch     stagerwatch.Watch
	added     bool // the partition
	announced bool // a stager has announced itself
	open      int  // tickets that it last counted
}

// NewFrontend returns the core of the frontend with the name. Batches of up to inline bytes may
// travel in the log.
func NewFrontend(name string, epoch uint64, times frontend.Times, inline int64) *FrontendCore {
	f := &FrontendCore{name: name, core: frontend.NewLog(epoch, times)}
	f.core.AllowInline(inline)
	return f
}

// Step implements Core.
func (f *FrontendCore) Step(now time.Time, events []Event, out *Output) {
	taken := make([]frontend.Event, 0, len(events)+1)
	if !f.added {
		f.added = true
		taken = append(taken, frontend.Added{Partition: Partition})
	}
	var heard []check.Sighting
	for _, e := range events {
		if e := f.event(e, out); e != nil {
			taken = append(taken, e)
			heard = f.heard(e, heard)
		}
	}
	before := f.core.Stats(Partition).GivenUp
	fx := f.core.Step(now, taken)
	out.Send, out.Ready, out.TakeEpoch = fx.Send, len(fx.Ready) > 0, fx.TakeEpoch
	for _, e := range fx.Send {
		if stage, is := e.Message.(messages.Stage); is {
			f.issued(e.Subject, &stage, out)
		}
	}
	// Of the arrivals in a turn, some may be later than the cause of a request. They count
	// from the next turn.
	out.Seen = append(out.Seen, heard...)
	for i := range fx.Answers {
		out.Answers = append(out.Answers, answerOf(&fx.Answers[i]))
	}
	stats := f.core.Stats(Partition)
	f.open = stats.Outstanding
	out.Stats = Stats{Open: f.open, GivenUp: int(stats.GivenUp - before)}
}

// event returns what the core takes of an event; nil is nothing.
func (f *FrontendCore) event(e Event, out *Output) frontend.Event {
	switch e := e.(type) {
	case Request:
		return e.produce()
	case *Message:
		switch m := e.Decode().(type) {
		case messages.ProducerFenced:
			out.Fenced = append(out.Fenced, m)
			return nil
		case messages.Truncated:
			out.Truncated = append(out.Truncated, m)
			return nil
		case messages.Committed:
			entry := decodeEntry(m.Entry)
			out.Ends = append(out.Ends, fetch.LogState{Last: m.Sequence, Readable: m.Sequence, Offset: entry.NextOffset(), History: entry.History})
			return frontend.CommittedEntry{Partition: Partition, Entry: entry}
		default:
			return m
		}
	case stagerwatch.Alive:
		f.announced = true
		out.Seen = append(out.Seen, check.Announced{To: f.name, Stager: e.Name})
		return f.watches(e)
	case stagerwatch.RoundEnds:
		if f.announced {
			out.Seen = append(out.Seen, check.Round{Of: f.name})
		}
		return f.watches(e)
	}
	return e
}

// watches returns what the core learns of an event of the watch; nil is nothing.
func (f *FrontendCore) watches(e Event) frontend.Event {
	if !f.watch.Step(e) {
		return nil
	}
	return frontend.Stagers{Live: f.watch.Live()}
}

// heard adds what an event says of the batches that stagers have.
func (f *FrontendCore) heard(e frontend.Event, seen []check.Sighting) []check.Sighting {
	switch m := e.(type) {
	case messages.Refused:
		for i := range m.Refusals {
			r := &m.Refusals[i]
			seen = append(seen, check.TurnedAway{Ticket: check.TicketOf(m.Epoch, r.Ticket), Attempt: r.Attempt, By: m.Stager})
		}
	case messages.Holding:
		for i := range m.Held {
			h := &m.Held[i]
			seen = append(seen, check.Reported{Ticket: check.TicketOf(m.Epoch, h.Ticket), Attempt: h.Attempt, By: m.Stager})
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
		out.Seen = append(out.Seen, check.Issued{
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
