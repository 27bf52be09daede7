package exhaustive

import (
	"fmt"
	"time"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/test/sim/describe"
)

// client sends the batches of a lane, in order.
type client struct {
	number  int
	batches int
	sent    int    // batches that a plain client has sent
	window  *state // nil if the client is plain, and sends nothing twice

	// Of an idempotent client only; to a plain one nothing of it matters.

	flying uint64 // batches with an attempt that is not answered, as far as is known here: a bit each
	acked  int    // batches before it are acknowledged
	broken bool   // it has yet to find out that its frontend is no more
}

// request is what the frontend hands back with its answer.
type request struct {
	client, batch int
	id            delivery.ID
}

// answer is on its way to a client.
type answer struct {
	request
	offset int64
	code   protocol.Code
}

func (w *world) newClient(n int, l Lane) client {
	c := client{number: n, batches: l.Batches}
	if l.Idempotent {
		c.window = w.memo.root(windowMachine{number: n}, func() machine {
			return &windowMachine{number: n, batches: l.Batches, window: delivery.New[int](delivery.Settings{
				Random: func() float64 { return 0 }, DeliveryTimeout: time.Hour,
				MinAttemptTimeout: 4 * heartbeat, MaxAttemptTimeout: 2 * deadline,
			})}
		})
	}
	return c
}

func producer(client int) int64 { return int64(client) + 1 }

// records is what each batch of a client has.
func records(client int) int { return 2 - client%2 }

func key(client, batch int) string { return fmt.Sprintf("%d.%d", client, batch) }

// windowMachine is the window of an idempotent client, with what was put into it.
type windowMachine struct {
	number, batches, added int
	window                 *delivery.Window[int]
}

// What it is told, besides answers.
type (
	sendNext struct{}
	broken   struct{} // its connection was, and is there again
)

func (k *windowMachine) step(_ *memo, now time.Time, what any) *effects {
	fx := &effects{}
	switch e := what.(type) {
	case sendNext:
		fx.sent, fx.failed = k.sendNext(now)
	case broken:
		k.window.Disconnect(now)
		k.window.Reconnect()
	case answer:
		if e.code == protocol.CodeOK {
			k.window.OK(now, e.id)
		} else {
			k.window.Refused(now, e.id, protocol.NewError(e.code, ""))
		}
		for n, ok := k.window.Acked(); ok; n, ok = k.window.Acked() {
			fx.acked = n + 1
		}
		fx.failed = k.window.Err()
	}
	return fx
}

func (k *windowMachine) sendNext(now time.Time) (*produce, error) {
	for ; k.added < k.batches && k.window.Room(); k.added++ {
		if err := k.window.Add(now, k.added, records(k.number)); err != nil {
			return nil, err
		}
	}
	s, some := k.window.Next(now)
	if !some {
		return nil, nil
	}
	return &produce{
		request:      request{client: k.number, batch: s.Batch, id: s.ID},
		sequence:     messages.Sequence{ProducerID: producer(k.number), First: s.Sequence},
		firstUnacked: s.FirstUnacked,
	}, nil
}

// produce returns what a frontend gets of a request.
func (p produce) produce() frontend.Produce {
	lane := fmt.Sprint("p:", p.client)
	if p.sequence.ProducerID != 0 {
		lane = fmt.Sprint("i:", p.sequence.ProducerID)
	}
	return frontend.Produce{
		Submission: messages.Submission{
			Batch:        messages.Batch{Ticket: messages.Ticket{Lane: lane}, Records: uint32(records(p.client)), Sequence: p.sequence},
			FirstUnacked: p.firstUnacked,
		},
		Request: p.request, Payload: []byte(key(p.client, p.batch)),
	}
}

// wants says whether the client may have something to send.
func (c *client) wants() bool {
	if c.window == nil {
		return c.sent < c.batches
	}
	for n := c.acked; n < c.batches; n++ {
		if c.flying>>n&1 == 0 {
			return true
		}
	}
	return false
}

// windowStep lets the window of a client take an event.
func (w *world) windowStep(c *client, what any) *effects {
	b := w.memo.step(c.window, event{w.beats, what})
	c.window = b.to
	if b.fx.failed != nil {
		w.violated("I7: client %d fails for good: %v", c.number, b.fx.failed)
	}
	return b.fx
}

// request lets the client send what it wants to send next; nil is nothing.
func (w *world) request(c *client) *produce {
	if c.window != nil {
		return w.windowStep(c, sendNext{}).sent
	}
	c.sent++
	return &produce{request: request{client: c.number, batch: c.sent - 1}, firstUnacked: protocol.NotSaid}
}

// produce lets a client send a request to a frontend; nil is one that does not admit
// it, and says so.
func (w *world) produce(c *client, to *process) bool {
	p := w.request(c)
	if p == nil {
		return false
	}
	if c.window != nil {
		c.flying |= 1 << p.batch
	}
	w.say("client %d sends batch %d, attempt %d, first unacked %d, to %s", c.number, p.batch, p.id.Attempt, p.firstUnacked, to)
	if to == nil {
		w.reply(0, answer{request: p.request, code: protocol.CodeUnavailable})
		return true
	}
	w.step(to, *p)
	return true
}

func (w *world) answer(p *process, answers []answered) {
	for _, a := range answers {
		w.answered(a)
		w.reply(p.number, a.answer)
	}
}

// reply sends an answer to a client. A plain one hears it at once: nothing comes of it.
func (w *world) reply(from int, a answer) {
	if c := &w.clients[a.client]; c.window == nil {
		w.hear(c, a)
	} else {
		w.enqueue(from, -1-c.number, w.memo.answer(a))
	}
}

// hear lets a client hear an answer.
func (w *world) hear(c *client, a answer) {
	w.say("client %d is answered: batch %d, attempt %d: %s, offset %d", c.number, a.batch, a.id.Attempt, describe.Code(a.code), a.offset)
	c.flying &^= 1 << a.batch
	if a.code == protocol.CodeOK {
		w.acked(a)
	}
	if c.window != nil {
		c.acked = max(c.acked, w.windowStep(c, a).acked)
	}
}

// reconnect lets a client find out that the frontend is no more.
func (w *world) reconnect(c *client) {
	w.say("client %d connects again", c.number)
	c.broken, c.flying = false, 0
	w.windowStep(c, broken{})
}
