package sim

import (
	"strings"
	"time"

	"laneway.dev/pkg/messages"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/test/sim/describe"
)

// events is what a trace keeps for its picture.
type events struct {
	tickets map[ticket]*journey
	order   []*journey // as they were issued
	marks   []mark
	end     time.Duration
}

// journey is the way of a ticket. Of what happens repeatedly the first time counts;
// what has not happened is negative.
type journey struct {
	ticket
	issued, staged, released, committed, answered time.Duration
	failed                                        string // what it was answered with, if not OK
}

// mark is something that happens to more than a ticket.
type mark struct {
	at   time.Duration
	text string
}

const never time.Duration = -1

// noted keeps the lines of the trace that are about processes, clients and faults: a
// line about a message is indented.
func (t *Trace) noted(at time.Duration, line string) {
	t.events.end = max(t.events.end, at)
	if !strings.HasPrefix(line, " ") {
		t.events.marks = append(t.events.marks, mark{at, line})
	}
}

// sent keeps what a message tells of tickets. t may be nil.
func (t *Trace) sent(at time.Duration, m messages.Message) {
	if t == nil {
		return
	}
	switch m := m.(type) {
	case messages.Stage:
		for i := range m.Batches {
			t.journey(at, m.Epoch, m.Batches[i].Lane, m.Batches[i].Number)
		}
	case messages.Release:
		for i := range m.Batches {
			first(&t.journey(at, m.Epoch, m.Batches[i].Lane, m.Batches[i].Number).released, at)
		}
	}
}

// arrived tells what arrives at a process, and keeps which tickets are known to be
// staged. t may be nil.
func (t *Trace) arrived(at time.Duration, p *process, what any) {
	if t == nil {
		return
	}
	t.line(at, "  %s gets %s", p, arrival(what))
	if m, is := what.(messages.Staged); is {
		for i := range m.Batches {
			first(&t.journey(at, m.Epoch, m.Batches[i].Lane, m.Batches[i].Number).staged, at)
		}
	}
}

// committed tells what has come into the log. t may be nil.
func (t *Trace) committed(at time.Duration, p *proposal) {
	if t == nil {
		return
	}
	e := &p.entry.Entry
	t.line(at, "  entry %d of %s is in the log: %s", p.entry.Sequence, p.by, describe.Entry(e))
	for i := range e.Batches {
		first(&t.journey(at, e.Epoch, e.Batches[i].Lane, e.Batches[i].Number).committed, at)
	}
}

// answered keeps how a ticket was answered. t may be nil.
func (t *Trace) answered(at time.Duration, a *frontend.Answer) {
	if t == nil || a.Epoch == 0 {
		return
	}
	j := t.journey(at, a.Epoch, a.Lane, a.Number)
	j.answered = at
	if a.Error != nil {
		j.failed = describe.Code(a.Error.Code)
	}
}

// journey returns that of a ticket, which begins now if it is new.
func (t *Trace) journey(at time.Duration, epoch uint64, lane string, number uint64) *journey {
	of := ticket{laneKey{epoch, lane}, number}
	j := t.events.tickets[of]
	if j == nil {
		j = &journey{ticket: of, issued: at, staged: never, released: never, committed: never, answered: never}
		if t.events.tickets == nil {
			t.events.tickets = make(map[ticket]*journey)
		}
		t.events.tickets[of] = j
		t.events.order = append(t.events.order, j)
	}
	t.events.end = max(t.events.end, at)
	return j
}

func first(of *time.Duration, at time.Duration) {
	if *of == never {
		*of = at
	}
}
