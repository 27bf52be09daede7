package exhaustive

import (
	"fmt"
	"time"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend"
)

// client sends the batches of a lane, in order.
type client struct {
	number  int
	lane    string
	batches int
	sent    int                   // batches that were ever sent
	window  *delivery.Window[int] // nil if the client is plain, and sends nothing twice
	flying  map[int]bool          // batches with an attempt that is not answered, as far as is known here
	acked   int                   // of an idempotent client: batches before it are acknowledged
	broken  bool                  // it has yet to find out that its frontend is no more
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
	code   messages.Code
}

func newClient(n int, l Lane) *client {
	c := &client{number: n, batches: l.Batches, lane: fmt.Sprint("p:", n), flying: map[int]bool{}}
	if l.Idempotent {
		c.lane = fmt.Sprint("i:", c.producer())
		c.window = delivery.New[int](delivery.Settings{
			Random: func() float64 { return 0 }, DeliveryTimeout: time.Hour,
			MinAttemptTimeout: 4 * heartbeat, MaxAttemptTimeout: 2 * deadline,
		})
	}
	return c
}

func (c *client) producer() int64 { return int64(c.number) + 1 }

// records is what each batch of the client has.
func (c *client) records() int { return 2 - c.number%2 }

// wants says whether the client may have something to send.
func (c *client) wants() bool {
	if c.window == nil {
		return c.sent < c.batches
	}
	for n := c.acked; n < c.batches; n++ {
		if !c.flying[n] {
			return true
		}
	}
	return false
}

// request lets the client send what it wants to send next; nil is nothing.
func (w *world) request(c *client) *frontend.Produce {
	n := c.sent
	p := &frontend.Produce{Lane: c.lane, Records: c.records(), FirstUnacked: messages.NotSaid}
	r := request{client: c.number}
	if c.window != nil {
		for c.sent < c.batches && c.window.Room() {
			if err := c.window.Add(w.now, c.sent, c.records()); err != nil {
				w.violated("client %d: %v", c.number, err)
			}
			c.sent++
		}
		s, some := c.window.Next(w.now)
		if !some {
			return nil
		}
		n, r.id = s.Batch, s.ID
		p.FirstUnacked = s.FirstUnacked
		p.Sequence = messages.Sequence{ProducerID: c.producer(), First: s.Sequence}
	} else {
		c.sent++
	}
	c.flying[n] = true
	r.batch = n
	p.Request, p.Payload = r, []byte(fmt.Sprintf("%d.%d", c.number, n))
	return p
}

// produce lets a client send a request to a frontend; nil is one that does not admit
// it, and says so.
func (w *world) produce(c *client, to *process) bool {
	p := w.request(c)
	if p == nil {
		return false
	}
	r := p.Request.(request)
	w.say("client %d sends batch %d, attempt %d, first unacked %d, to %s", c.number, r.batch, r.id.Attempt, p.FirstUnacked, to)
	if to == nil {
		w.reply(0, c, &answer{request: r, code: messages.CodeUnavailable})
		return true
	}
	w.stepFrontend(to, *p)
	return true
}

func (w *world) answer(p *process, answers []frontend.Answer) {
	for i := range answers {
		a := &answers[i]
		w.answered(a)
		r := a.Request.(request)
		out := &answer{request: r, offset: a.Offset}
		if a.Error != nil {
			out.code = a.Error.Code
		}
		w.reply(p.number, w.clients[r.client], out)
	}
}

// reply sends an answer to a client. A plain one hears it at once: nothing comes of it.
func (w *world) reply(from int, c *client, a *answer) {
	if c.window == nil {
		w.hear(c, a)
	} else {
		w.enqueue(from, -1-c.number, packet{answer: a})
	}
}

// hear lets a client hear an answer.
func (w *world) hear(c *client, a *answer) {
	w.say("client %d is answered: batch %d, attempt %d: code %d, offset %d", c.number, a.batch, a.id.Attempt, a.code, a.offset)
	delete(c.flying, a.batch)
	if a.code == messages.CodeOK {
		w.acked(c, a)
	}
	if c.window == nil {
		return
	}
	if a.code == messages.CodeOK {
		c.window.OK(w.now, a.id)
	} else {
		c.window.Refused(w.now, a.id, messages.NewError(a.code, ""))
	}
	for n, ok := c.window.Acked(); ok; n, ok = c.window.Acked() {
		c.acked = n + 1
	}
	if err := c.window.Err(); err != nil {
		w.violated("I7: client %d fails for good: %v", c.number, err)
	}
}

// reconnect lets a client find out that the frontend is no more.
func (w *world) reconnect(c *client) {
	w.say("client %d connects again", c.number)
	c.broken = false
	clear(c.flying)
	if c.window != nil {
		c.window.Disconnect(w.now)
		c.window.Reconnect()
	}
}
