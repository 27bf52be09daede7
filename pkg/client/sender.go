package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/protocol"
)

// statusPoll bounds how long a missed status of the connection goes unnoticed.
const statusPoll = time.Second

// sender sends the batches of a producer and takes the answers: its goroutine
// owns the windows of all partitions.
type sender struct {
	p        *Producer
	conn     *nats.Conn
	windows  []*delivery.Window[*batch] // by target
	headers  nats.Header                // that all batches have
	inbox    string                     // with the dot before what names an attempt
	answers  chan *nats.Msg
	statuses chan nats.Status
	lookup   *lookup
	down     bool // the windows were told that the connection is lost
	timer    *time.Timer
	clock    clock
}

// start starts the producer's sender.
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
		// Room for the answers to what is in flight, and to attempts given up before.
		answers: make(chan *nats.Msg, 4*delivery.Span*len(p.targets)+64),
		lookup:  newLookup(p.client, p.topic),
		timer:   time.NewTimer(time.Hour),
	}
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
		// On a closed connection there is nothing to leave.
		_ = sub.Unsubscribe()
	}()
	return nil
}

// serve works until something ends the producer, and returns what.
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

// drain takes the answers that are there already, so that one step serves them all.
func (s *sender) drain() {
	for range len(s.answers) {
		s.answer(<-s.answers)
	}
}

// step sends what can be sent and settles what is acked. It returns when the
// next step is due if nothing happens before.
func (s *sender) step(now time.Time) (wake time.Time, err error) {
	s.reconnected()
	wake = now.Add(time.Hour)
	if s.down {
		wake = now.Add(statusPoll)
	}
	for i, w := range s.windows {
		if due := s.fill(now, i); !due.IsZero() && due.Before(wake) {
			wake = due
		}
		for next, ok := w.Next(now); ok; next, ok = w.Next(now) {
			s.send(now, i, next)
		}
		s.settle(w)
		if failed, ok := errors.AsType[*protocol.Error](w.Err()); ok {
			return wake, s.failure(i, failed)
		}
		if why, ok := w.Again(); ok {
			s.p.options.OnRetry(s.p.targets[i].Number, why)
		}
		if at, ok := w.Wake(); ok && at.Before(wake) {
			wake = at
		}
	}
	return wake, nil
}

// fill gives a window the batches that it has room for. It returns when there
// will be one that lingers; zero is never, or when there is room.
func (s *sender) fill(now time.Time, target int) time.Time {
	w := s.windows[target]
	for w.Room() {
		b, due := s.p.buffer.take(s.clock.wall(now), target)
		if b == nil {
			if !due.IsZero() {
				due = due.Add(-s.clock.lost)
			}
			return due
		}
		if err := w.Add(now, b, b.records); err != nil {
			panic(err) // there was room
		}
	}
	return time.Time{}
}

// send makes an attempt.
func (s *sender) send(now time.Time, target int, next delivery.Send[*batch]) {
	b, subject := next.Batch, s.p.targets[target].ProduceSubject()
	if b.span == nil {
		b.span = s.p.startSpan(b)
	}
	s.p.buffer.sent(next.Attempt > 0)
	err := s.conn.PublishMsg(&nats.Msg{
		Subject: subject, Reply: s.reply(target, next.ID),
		Header: s.header(next), Data: b.builder.Bytes(),
	})
	if err != nil {
		s.windows[target].Refused(now, next.ID, s.notSent(subject, err))
	}
}

// header returns the headers of an attempt, with the trace if there is one.
func (s *sender) header(next delivery.Send[*batch]) nats.Header {
	header := make(nats.Header, len(s.headers)+4)
	for name, values := range s.headers {
		header[name] = values
	}
	header[protocol.HeaderSequence] = []string{strconv.Itoa(int(next.Sequence))}
	header[protocol.HeaderFirstUnacked] = []string{strconv.Itoa(int(next.FirstUnacked))}
	// Without a tracer the span is the parent.
	if sc := next.Batch.span.SpanContext(); sc.IsValid() {
		injectTrace(sc, header)
	}
	return header
}

// notSent is the error of an attempt that NATS did not take, or only in part.
func (s *sender) notSent(subject string, err error) *protocol.Error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return protocol.Errorf(protocol.CodeMaxPayload, "%s: %v", subject, err)
	case unsent(err) || errors.Is(err, nats.ErrConnectionClosed):
		return protocol.Errorf(protocol.CodeUnavailable, "%s: not sent: %v", subject, s.p.client.explain(err))
	}
	return protocol.Errorf(protocol.CodeOutcomeUnknown, "%s: sending failed: %v", subject, err)
}

// settle acks what has got its OK.
func (s *sender) settle(w *delivery.Window[*batch]) {
	for b, ok := w.Acked(); ok; b, ok = w.Acked() {
		endSpan(b, nil)
		ack := BatchAck{Ack: b.first(), FirstRecord: b.number, Records: b.records, Bytes: b.bytes}
		s.p.buffer.acked(b)
		s.p.options.OnAck(ack)
	}
}

// failure ends all windows after the one of a target has failed. What has an OK
// counts as acked, in whichever window.
func (s *sender) failure(target int, err *protocol.Error) error {
	if s.down {
		detail := err.Detail + "; not connected to NATS at " + s.p.client.servers()
		err = protocol.NewError(err.Code, strings.TrimPrefix(detail, "; "))
	}
	absent := true
	for _, w := range s.windows {
		w.Fail(err)
		s.settle(w)
		absent = absent && w.Absent()
	}
	return s.p.buffer.failure(s.p.targets[target], absent, err)
}

// end fails what is left.
func (s *sender) end(err error) {
	for _, b := range s.p.buffer.end(err) {
		if b.span != nil {
			endSpan(b, err)
		}
	}
}

// changed takes a new status of the connection. What is in flight when it is lost
// will not be answered.
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

// reconnected looks whether the connection is back.
func (s *sender) reconnected() {
	if !s.down || !s.conn.IsConnected() {
		return
	}
	s.down = false
	for _, w := range s.windows {
		w.Reconnect()
	}
}
