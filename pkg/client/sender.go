package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
)

// statusPoll is how often the sender looks for a new connection while it is
// disconnected. nats.go drops a status that a listener does not take in time.
const statusPoll = time.Second

// sender sends the batches of a producer and receives the answers. Its goroutine
// owns the windows of all partitions, which decide what is sent and when (see
// package delivery). Its loop adds batches to each window that has room, makes the
// attempts that the window returns, settles acknowledged batches, and waits for the
// next event.
type sender struct {
	p        *Producer
	conn     *nats.Conn
	windows  []*delivery.Window[*batch] // by target
	inFlight []int                      // batches in each window
	active   []int                      // targets whose windows have batches
	headers  nats.Header                // of every batch
	inbox    string                     // the prefix of reply subjects, with its last dot
	answers  chan *nats.Msg
	statuses chan nats.Status
	lookup   *lookup
	growth   growth
	scratch  []byte // memory for compression
	down     bool   // the windows are disconnected
	timer    *time.Timer
	clock    clock
}

// start starts the sender of the producer.
func (p *Producer) start() error {
	conn := p.client.conn
	s := &sender{
		p: p, conn: conn, inbox: conn.NewInbox() + ".",
		headers: nats.Header{
			protocol.HeaderContentType:   {protocol.ContentTypeBatch},
			protocol.HeaderProducerID:    {strconv.FormatInt(p.identity.id, 10)},
			protocol.HeaderProducerEpoch: {strconv.Itoa(int(p.identity.epoch))},
			protocol.HeaderTopicID:       {strconv.FormatUint(p.topic.ID, 10)},
		},
		// Room for the answers to what is in flight and to earlier attempts: nats.go
		// drops messages when the channel is full.
		answers: make(chan *nats.Msg, 4*delivery.Span*len(p.targets)+64),
		lookup:  newLookup(p.client, p.topic),
		growth:  newGrowth(p.buffer.frame, min(p.options.MaxBatchBytes, p.payload), p.options.MaxInFlight),
		timer:   time.NewTimer(time.Hour),
	}
	s.inFlight = make([]int, len(p.targets))
	for i := range p.targets {
		s.windows = append(s.windows, delivery.New[*batch](p.options.window(p.identity.next[i], rand.Float64)))
	}
	sub, err := conn.ChanSubscribe(s.inbox+">", s.answers)
	if err != nil {
		return fmt.Errorf("subscribe to answers: %w", p.client.explain(err))
	}
	s.statuses = conn.StatusChanged()
	go func() {
		defer close(p.done)
		s.end(s.serve())
		s.lookup.end()
		s.timer.Stop()
		conn.RemoveStatusListener(s.statuses)
		// An error means that the connection is closed, and the subscription with it.
		_ = sub.Unsubscribe()
	}()
	return nil
}

// serve runs the sender until the producer fails or ends, and returns why.
func (s *sender) serve() error {
	for {
		now := s.clock.now()
		wake, err := s.step(now)
		if err != nil {
			return err
		}
		s.timer.Reset(s.clock.waits(now, wake))
		select {
		case <-s.p.buffer.work:
		case m := <-s.answers:
			s.answer(m)
			s.drain()
		case status := <-s.statuses:
			err = s.changed(status)
		case gone := <-s.lookup.answers:
			if s.lookup.answered(); gone != nil {
				err = s.failure(s.lookup.target, gone)
			}
		case <-s.timer.C:
		case <-s.p.client.closed:
			err = ErrClosed
		case <-s.p.stop:
			err = ErrClosed
		}
		if err != nil {
			return err
		}
	}
}

// drain handles the answers that have arrived already, so that one step serves all
// of them.
func (s *sender) drain() {
	for range len(s.answers) {
		s.answer(<-s.answers)
	}
}

// step sends what can be sent and settles what is acknowledged. It returns when the
// next step is due if no event comes before. A window without batches has nothing to do.
func (s *sender) step(now time.Time) (wake time.Time, err error) {
	s.reconnected()
	wake = now.Add(time.Hour)
	if s.down {
		wake = now.Add(statusPoll)
	}
	for _, i := range s.active {
		s.settle(now, i)
	}
	wake = earlier(wake, s.fill(now))
	for _, i := range s.active {
		w := s.windows[i]
		for next, ok := w.Next(now); ok; next, ok = w.Next(now) {
			s.send(now, i, next)
		}
		s.settle(now, i)
		if failed, ok := errors.AsType[*protocol.Error](w.Err()); ok {
			return wake, s.failure(i, failed)
		}
		if why, ok := w.Again(); ok {
			s.p.options.OnRetry(s.p.targets[i].Number, why)
		}
		if at, ok := w.Wake(); ok {
			wake = earlier(wake, at)
		}
	}
	s.active = slices.DeleteFunc(s.active, func(i int) bool { return s.inFlight[i] == 0 })
	return wake, nil
}

// fill gives the windows the batches that they have room for. It returns when the first batch that lingers
// is due; zero if there is none.
func (s *sender) fill(now time.Time) time.Time {
	for {
		b, due := s.p.buffer.take(s.clock.wall(now), func(target int) bool { return s.windows[target].Room() })
		if b == nil {
			if !due.IsZero() {
				due = due.Add(-s.clock.lost)
			}
			return due
		}
		s.scratch = b.complete(s.p.options.Compression, s.scratch)
		if err := s.windows[b.target].Add(now, b, b.records); err != nil {
			panic(err) // impossible: there was room
		}
		if s.inFlight[b.target]++; s.inFlight[b.target] == 1 && !slices.Contains(s.active, b.target) {
			s.active = append(s.active, b.target)
		}
	}
}

// settle settles the acknowledged batches of a window.
func (s *sender) settle(now time.Time, target int) {
	w := s.windows[target]
	for b, ok := w.Acked(); ok; b, ok = w.Acked() {
		s.inFlight[target]--
		if s.growth.acked(now, b.took, s.p.buffer.waiting(target)) {
			s.p.buffer.resize(s.growth.size)
		}
		endSpan(b, nil)
		ack := BatchAck{Ack: b.first(), FirstRecord: b.number, Records: b.records, Bytes: b.bytes}
		s.p.buffer.acked(b)
		s.p.options.OnAck(ack)
	}
}

// failure ends all windows after one has failed, and returns the error of the
// producer. Batches with an OK are acknowledged first, in every window, so that the
// error counts no record as uncertain that is known to be in the log.
func (s *sender) failure(target int, err *protocol.Error) error {
	if s.down {
		detail := err.Detail + "; not connected to NATS at " + s.p.client.servers()
		err = protocol.NewError(err.Code, strings.TrimPrefix(detail, "; "))
	}
	absent := true
	for i, w := range s.windows {
		w.Fail(err)
		s.settle(s.clock.now(), i)
		absent = absent && w.Absent()
	}
	return s.p.buffer.failure(s.p.targets[target], absent, err)
}

// end fails the batches that are not acknowledged.
func (s *sender) end(err error) {
	for _, b := range s.p.buffer.end(err) {
		if b.span != nil {
			endSpan(b, err)
		}
	}
}

// changed handles a new status of the connection. When it is lost, the answers to
// what is in flight are lost too, so the windows need not wait for their timeouts.
func (s *sender) changed(status nats.Status) error {
	switch status {
	case nats.CLOSED:
		return fmt.Errorf("%w: its NATS connection", ErrClosed)
	case nats.RECONNECTING, nats.DISCONNECTED:
		s.down = true
		now := s.clock.now()
		for _, w := range s.windows {
			w.Disconnect(now)
		}
	}
	return nil
}

// reconnected lets the windows send again if the connection is back.
func (s *sender) reconnected() {
	if !s.down || !s.conn.IsConnected() {
		return
	}
	s.down = false
	for _, w := range s.windows {
		w.Reconnect()
	}
}

// standstill is the delay of a step from which on the clock assumes that the process
// was suspended, or got no processor time.
const standstill = time.Second

// clock is the time of a sender. It does not count time in which the process was
// suspended, such as the sleep of a laptop. The sender could not receive anything in
// that time, and answers may be waiting to be read. If that time counted, attempts
// and batches would time out before these answers are read.
type clock struct {
	lost time.Duration
	due  time.Time // of the next step, in wall time; zero means none
}

// now returns the time, and notices a standstill.
func (c *clock) now() time.Time { return c.at(time.Now()) }

func (c *clock) at(wall time.Time) time.Time {
	if late := wall.Sub(c.due); !c.due.IsZero() && late > standstill {
		c.lost += late
	}
	c.due = time.Time{}
	return wall.Add(-c.lost)
}

// wall returns the wall time of a time of the clock.
func (c *clock) wall(t time.Time) time.Time { return t.Add(c.lost) }

// waits notes when the next step is due, and returns the time until then.
func (c *clock) waits(now, until time.Time) time.Duration {
	wait := max(0, until.Sub(now))
	c.due = now.Add(c.lost + wait)
	return wait
}
