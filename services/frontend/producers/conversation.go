package producers

import (
	"context"
	"sync"
	"time"

	"laneway.dev/internal/actor"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend/core/ask"
)

// mailboxSize bounds the answers that wait for one request. An answer that does not fit is
// lost, as on the network, and its question is repeated.
const mailboxSize = 4096

// canceled reports that a request ends without its answers, for example by a timeout.
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

// deliver passes a message to every request, which checks whether the message is an answer
// to it. There are few requests at a time, and several may wait for the same answer.
func (c *conversations) deliver(m messages.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for mailbox := range c.open {
		_ = mailbox.Offer(m) // an error means that the answer is lost, see mailboxSize
	}
}

// converse runs a conversation. It calls turn with the answers of replicators and, once per
// heartbeat, with the damage of read-only partitions, whose replicators do not answer. It
// sends the messages that turn returns, until turn returns done. When ctx ends, it calls
// turn a last time with canceled, and turn MUST return done.
func (a *API) converse(ctx context.Context, turn func(now time.Time, events []any) (send []messages.Envelope, done bool)) {
	mailbox := actor.NewMailbox[any](mailboxSize)
	a.conversations.add(mailbox)
	defer a.conversations.remove(mailbox)
	looked := time.Now()
	step := func(now time.Time, events []any) bool {
		if now.Sub(looked) >= a.config.Heartbeat {
			looked = now
			for _, damage := range a.config.Damage() {
				events = append(events, damage)
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

// answerOf sends a question to the replicator of its partition until the answer arrives for which is
// returns true. An answer to an earlier question may arrive late.
func answerOf[A messages.Message](ctx context.Context, a *API, question messages.Message, is func(A) bool) (answer A, err error) {
	questions := ask.New(a.config.Heartbeat)
	questions.Add(question)
	a.converse(ctx, func(now time.Time, events []any) ([]messages.Envelope, bool) {
		for _, e := range events {
			switch e := e.(type) {
			case messages.ReadOnly:
				if err = questions.Damaged(e); err != nil {
					return nil, true
				}
			case canceled:
				err = questions.Unanswered(e.cause)
				return nil, true
			case A:
				if is(e) {
					answer = e
					return nil, true
				}
			}
		}
		return questions.Due(now), false
	})
	return answer, err
}

// Receive handles an answer of a replicator. It returns false for any other message.
func (a *API) Receive(m messages.Message) bool {
	switch m.(type) {
	case messages.ProducerFenced, messages.Producers, messages.Truncated:
		a.conversations.deliver(m)
		return true
	}
	return false
}
