package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// ackTimeout bounds the wait for an acknowledgement.
const ackTimeout = 30 * time.Second

// asyncSender sends by PublishAsync of an unmodified JetStream client: a record
// in each message, or several.
type asyncSender struct {
	js       jetstream.JetStream
	subjects []string // each message goes to one of them, by chance
	window   int      // messages that are not acknowledged
	maker    *recordMaker
	many     int      // records in a message
	buffers  [][]byte // one for each message that may be in flight
}

// newAsyncSender returns a sender with at most window messages in flight, each with many
// records.
func newAsyncSender(conn *nats.Conn, subjects []string, maker *recordMaker, window, many int) (sender, error) {
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(window))
	if err != nil {
		return nil, err
	}
	s := &asyncSender{
		js: js, subjects: subjects, window: window, maker: maker, many: many,
		// Beside the window, one buffer is being filled and one acknowledgement is being read.
		buffers: make([][]byte, window+2),
	}
	for i := range s.buffers {
		s.buffers[i] = make([]byte, many*maker.size)
	}
	return s, nil
}

func (s *asyncSender) send(ctx context.Context, allowance *allowance) (int64, error) {
	pending := make(chan jetstream.PubAckFuture, s.window-1)
	counted := make(chan struct{})
	var acked int64
	var ackErr error
	go func() {
		defer close(counted)
		acked, ackErr = s.count(ctx, pending)
	}()
	sent, err := s.publish(ctx, allowance, pending, counted)
	close(pending)
	<-counted
	if err = errors.Join(err, ackErr); err == nil && acked != sent {
		err = fmt.Errorf("%d records were sent, %d were acknowledged", sent, acked)
	}
	return acked, err
}

func (s *asyncSender) publish(ctx context.Context, allowance *allowance, pending chan<- jetstream.PubAckFuture, counted <-chan struct{}) (sent int64, err error) {
	for turn := 0; ; turn++ {
		if !allowance.take(s.many) {
			return sent, nil
		}
		data, size := s.buffers[turn%len(s.buffers)], s.maker.size
		for i := range s.many {
			s.maker.fill(data[i*size : (i+1)*size])
		}
		subject := s.subjects[rand.IntN(len(s.subjects))]
		future, err := s.js.PublishAsync(subject, data, jetstream.WithStallWait(ackTimeout))
		if err != nil {
			return sent, err
		}
		sent += int64(s.many)
		select {
		case pending <- future:
		case <-counted:
			return sent, nil // count returns the error
		case <-ctx.Done():
			return sent, context.Cause(ctx)
		}
	}
}

// count waits for the acknowledgements, in the order of sending, and returns
// how many records they stand for.
func (s *asyncSender) count(ctx context.Context, pending <-chan jetstream.PubAckFuture) (acked int64, err error) {
	last := make(map[string]uint64) // by subject
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	for m := range pending {
		timeout.Reset(ackTimeout)
		select {
		case ack := <-m.Ok():
			subject := m.Msg().Subject
			if ack.Sequence <= last[subject] {
				return acked, fmt.Errorf("a message to %s got sequence %d, the one before it had %d", subject, ack.Sequence, last[subject])
			}
			last[subject] = ack.Sequence
			acked += int64(s.many)
		case err := <-m.Err():
			return acked, err
		case <-timeout.C:
			return acked, fmt.Errorf("no acknowledgement came within %s", ackTimeout)
		case <-ctx.Done():
			return acked, context.Cause(ctx)
		}
	}
	return acked, nil
}

// close does nothing: every message is acknowledged, and the connection belongs to the
// caller.
func (s *asyncSender) close(context.Context) error { return nil }

const (
	// maxAtomicBatches is how many batches are open at once. JetStream allows 50 for a
	// stream, and a few may still be closing when the next ones open.
	maxAtomicBatches = 48
	// maxAtomicRecords is how many messages JetStream takes in a batch.
	maxAtomicRecords = 1000
)

// atomicSender sends batches that JetStream commits as a whole. It belongs to
// one goroutine.
type atomicSender struct {
	conn    *nats.Conn
	subject string
	inbox   string
	sub     *nats.Subscription
	answers chan *nats.Msg
	window  int // batches that are not acknowledged
	batch   int // records in a batch
	maker   *recordMaker
	value   []byte
}

// newAtomicSender returns a sender that has as many records in flight as the plan says, in
// as few batches as possible.
func newAtomicSender(conn *nats.Conn, subject string, p *Plan, n int) (sender, error) {
	window, batch := p.atomic()
	s := &atomicSender{
		conn: conn, subject: subject, inbox: conn.NewInbox(), window: window, batch: batch,
		answers: make(chan *nats.Msg, window+1), maker: newRecordMaker(n, p.RecordBytes), value: make([]byte, p.RecordBytes),
	}
	var err error
	s.sub, err = conn.ChanSubscribe(s.inbox, s.answers)
	return s, err
}

// atomic returns how many atomic batches a producer has in flight, and the
// records in each.
func (p *Plan) atomic() (window, batch int) {
	records := p.InFlight * p.batchRecords()
	batch = min(records, maxAtomicRecords)
	return max(1, min(records/batch, maxAtomicBatches/p.Producers)), batch
}

func (s *atomicSender) send(ctx context.Context, allowance *allowance) (acked int64, err error) {
	sent, open := int64(0), 0
	for allowance.take(s.batch) {
		if open == s.window {
			if err := s.acknowledged(ctx); err != nil {
				return acked, err
			}
			acked += int64(s.batch)
			open--
		}
		if err := s.publish(); err != nil {
			return acked, err
		}
		sent += int64(s.batch)
		open++
	}
	for range open {
		if err := s.acknowledged(ctx); err != nil {
			return acked, err
		}
		acked += int64(s.batch)
	}
	if acked != sent {
		return acked, fmt.Errorf("%d records were sent, %d were acknowledged", sent, acked)
	}
	return acked, nil
}

// publish sends a batch, of which only the last message is answered.
func (s *atomicSender) publish() error {
	id := []string{nuid.Next()}
	for i := range s.batch {
		s.maker.fill(s.value)
		m := &nats.Msg{Subject: s.subject, Data: s.value, Header: nats.Header{
			"Nats-Batch-Id": id, "Nats-Batch-Sequence": {strconv.Itoa(i + 1)},
		}}
		if i == s.batch-1 {
			m.Header["Nats-Batch-Commit"] = []string{"1"}
			m.Reply = s.inbox
		}
		if err := s.conn.PublishMsg(m); err != nil {
			return err
		}
	}
	return nil
}

// acknowledged waits for the answer to a batch.
func (s *atomicSender) acknowledged(ctx context.Context) error {
	var m *nats.Msg
	select {
	case m = <-s.answers:
	case <-time.After(ackTimeout):
		return fmt.Errorf("no acknowledgement came within %s", ackTimeout)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if m == nil {
		return nats.ErrConnectionClosed
	}
	var ack struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Batch string `json:"batch"`
		Count int    `json:"count"`
	}
	err := json.Unmarshal(m.Data, &ack)
	switch {
	case err != nil && m.Header.Get("Status") == "503":
		return nats.ErrNoResponders
	case err != nil:
		return errors.Join(fmt.Errorf("the answer to a batch is %q", m.Data), err)
	case ack.Error != nil:
		return fmt.Errorf("JetStream refuses a batch: %s (%d)", ack.Error.Description, ack.Error.Code)
	case ack.Count != s.batch:
		return fmt.Errorf("a batch of %d records was sent, %d were acknowledged", s.batch, ack.Count)
	}
	return nil
}

func (s *atomicSender) close(context.Context) error { return s.sub.Unsubscribe() }
