// Package actor has the mailbox and the loop of Laneway's services. One goroutine owns a
// state. It takes all waiting events as one slice, decides, and sends one message per
// destination. No other goroutine uses the state, so it needs no locks. The slice gives
// batching without a delay: while one turn runs, events gather for the next one.
package actor

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrFull means that a mailbox has no room for an event. The caller MUST answer the sender,
// so that no event is dropped silently.
var ErrFull = errors.New("mailbox full")

// ErrClosed means that the actor has stopped.
var ErrClosed = errors.New("actor stopped")

// Mailbox is a bounded queue with many senders and one receiver, which takes all waiting
// events at once. It is safe for concurrent use.
type Mailbox[E any] struct {
	limit int
	wake  chan struct{} // holds a token while events may be waiting

	mu     sync.Mutex
	events []E
	extra  int // events that do not count in the limit
	spare  []E
	room   chan struct{} // closed and replaced when room appears
	closed bool
}

// NewMailbox returns a mailbox for at most limit events.
func NewMailbox[E any](limit int) *Mailbox[E] {
	return &Mailbox[E]{limit: limit, wake: make(chan struct{}, 1), room: make(chan struct{})}
}

// Offer adds an event, or returns ErrFull or ErrClosed at once.
func (m *Mailbox[E]) Offer(event E) error {
	_, err := m.offer(event)
	return err
}

// Put adds an event, and waits for room if there is none. If the callback of a subscription
// waits in Put, further messages wait in the NATS client.
func (m *Mailbox[E]) Put(ctx context.Context, event E) error {
	for {
		room, err := m.offer(event)
		if !errors.Is(err, ErrFull) {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Add adds an event that does not count in the limit, or returns ErrClosed. It is for events that
// are bounded elsewhere.
func (m *Mailbox[E]) Add(event E) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.extra++
	m.add(event)
	return nil
}

// full reports whether the mailbox has no room. The caller holds mu.
func (m *Mailbox[E]) full() bool { return len(m.events)-m.extra >= m.limit }

func (m *Mailbox[E]) offer(event E) (room <-chan struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return nil, ErrClosed
	case m.full():
		return m.room, ErrFull
	}
	m.add(event)
	return nil, nil
}

// add adds an event. The caller holds mu.
func (m *Mailbox[E]) add(event E) {
	m.events = append(m.events, event)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Close rejects further events and wakes all senders that wait for room.
func (m *Mailbox[E]) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		close(m.room)
	}
}

// take returns all waiting events. The slice is valid until the next take.
func (m *Mailbox[E]) take() []E {
	m.mu.Lock()
	defer m.mu.Unlock()
	events, full := m.events, m.full()
	clear(m.spare)
	m.events, m.spare, m.extra = m.spare[:0], events, 0
	if full && !m.closed {
		close(m.room)
		m.room = make(chan struct{})
	}
	return events
}

// Rest returns the events that the actor has never received. Only the owner may call it,
// after the mailbox was closed.
func (m *Mailbox[E]) Rest() []E { return m.take() }

// Run is the loop of an actor. It calls turn with all waiting events when there are any, and
// at least once per tick, until ctx ends or turn returns false. Then it closes the mailbox.
// The slice is valid only during the call.
func (m *Mailbox[E]) Run(ctx context.Context, tick time.Duration, turn func(now time.Time, events []E) bool) {
	defer m.Close()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-ticker.C:
		}
		events := m.take()
		if !turn(time.Now(), events) { // no event is later than now
			return
		}
	}
}
