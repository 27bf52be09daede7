package random

import (
	"strings"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/describe"
	"laneway.dev/test/sim/world"
)

// events is what a trace keeps for its picture.
type events struct {
	tickets map[place]*journey
	order   []*journey // as they were issued
	marks   []mark
	end     time.Duration
}

// place names a ticket of a partition.
type place struct {
	partition protocol.Partition
	check.Ticket
}

// journey is the way of a ticket. If something happens to it repeatedly, the first
// time counts. A negative time means that it has not happened.
type journey struct {
	place
	issued, staged, released, committed, answered time.Duration
	failed                                        string // what it was answered with, if not OK
}

// mark is something that happens to more than a ticket.
type mark struct {
	at   time.Duration
	text string
}

const never time.Duration = -1

// noted keeps the lines of the trace that are not indented, which are about
// processes, clients and disturbances.
func (t *Trace) noted(at time.Duration, line string) {
	t.events.end = max(t.events.end, at)
	if !strings.HasPrefix(line, " ") {
		t.events.marks = append(t.events.marks, mark{at, line})
	}
}

// sent keeps what a message has about tickets. t may be nil.
func (t *Trace) sent(at time.Duration, m *world.Message) {
	if t == nil {
		return
	}
	m.Each(func(m messages.Message) {
		switch m := m.(type) {
		case messages.Stage:
			for i := range m.Batches {
				t.journey(at, m.Partition, m.Epoch, m.Batches[i].Ticket)
			}
		case messages.Release:
			for i := range m.Batches {
				first(&t.journey(at, m.Partition, m.Epoch, m.Batches[i].Ticket).released, at)
			}
		}
	})
}

// arrived keeps which tickets are known to be staged. t may be nil.
func (t *Trace) arrived(at time.Duration, m *world.Message) {
	if t == nil {
		return
	}
	m.Each(func(m messages.Message) {
		if m, is := m.(messages.Staged); is {
			for i := range m.Batches {
				first(&t.journey(at, m.Partition, m.Epoch, m.Batches[i].Ticket).staged, at)
			}
		}
	})
}

// committed keeps what was added to the log. t may be nil.
func (t *Trace) committed(at time.Duration, of protocol.Partition, e *messages.Entry) {
	if t == nil {
		return
	}
	for i := range e.Batches {
		first(&t.journey(at, of, e.Epoch, e.Batches[i].Ticket).committed, at)
	}
}

// answered keeps how a ticket was answered. t may be nil.
func (t *Trace) answered(at time.Duration, of protocol.Partition, a *world.Answer) {
	if t == nil || a.Ticket.Epoch == 0 {
		return
	}
	j := t.journey(at, of, a.Ticket.Epoch, messages.Ticket{Lane: a.Ticket.Lane, Number: a.Ticket.Number})
	j.answered = at
	if a.Code != protocol.CodeOK {
		j.failed = describe.Code(a.Code)
	}
}

// journey returns that of a ticket, which starts now if it is new.
func (t *Trace) journey(at time.Duration, partition protocol.Partition, epoch uint64, ticket messages.Ticket) *journey {
	of := place{partition, check.TicketOf(epoch, ticket)}
	j := t.events.tickets[of]
	if j == nil {
		j = &journey{place: of, issued: at, staged: never, released: never, committed: never, answered: never}
		if t.events.tickets == nil {
			t.events.tickets = make(map[place]*journey)
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
