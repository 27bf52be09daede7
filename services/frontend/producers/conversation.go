package producers

import (
	"context"
	"sync"
	"time"

	"laneway.dev/internal/actor"
	"laneway.dev/pkg/messages"
)

// mailboxSize bounds the answers that wait for one request. What does not fit is lost, as
// on the network, and asked for again.
const mailboxSize = 4096

// canceled says that a request ends, such as by a timeout.
type canceled struct{ cause error }

// conversations are the requests that wait for answers of replicators. It is safe for
// concurrent use.
type conversations struct {
	mu   sync.Mutex
	open map[*actor.Mailbox[any]]struct{}
}

func (c *conversations) add(m *actor.Mailbox[any]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[*actor.Mailbox[any]]struct{})
	}
	c.open[m] = struct{}{}
}

func (c *conversations) remove(m *actor.Mailbox[any]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, m)
}

// deliver hands a message to every request. Each finds out whether it is an answer to it:
// there are few of them, and two may have asked the same.
func (c *conversations) deliver(m messages.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for mailbox := range c.open {
		_ = mailbox.Offer(m) // a full or closed mailbox loses it, see mailboxSize
	}
}

// converse calls turn with everything that replicators answer and, once per heartbeat, the
// damage of read-only partitions. It sends what turn returns, until turn reports that the
// conversation is done. When ctx ends, turn gets canceled, and MUST be done with that.
func (a *API) converse(ctx context.Context, turn func(now time.Time, events []any) (send []messages.Envelope, done bool)) {
	mailbox := actor.NewMailbox[any](mailboxSize)
	a.conversations.add(mailbox)
	defer a.conversations.remove(mailbox)
	looked := time.Now()
	step := func(now time.Time, events []any) bool {
		if now.Sub(looked) >= a.config.Heartbeat {
			looked = now
			for id, damage := range a.config.Damage() {
				events = append(events, messages.ReadOnly{Partition: id, Damage: damage})
			}
		}
		send, done := turn(now, events)
		a.config.Wire.Send(send)
		return !done
	}
	more := step(time.Now(), nil)
	if more {
		mailbox.Run(ctx, a.config.Heartbeat, func(now time.Time, events []any) bool {
			more = step(now, events)
			return more
		})
	}
	if more {
		turn(time.Now(), []any{canceled{ctx.Err()}})
	}
}

// Receive takes what replicators answer to requests of the API. It reports false for any
// other message.
func (a *API) Receive(m messages.Message) bool {
	switch m.(type) {
	case messages.ProducerFenced, messages.Producers:
		a.conversations.deliver(m)
		return true
	}
	return false
}
