package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ackTimeout bounds the wait for an acknowledgement.
const ackTimeout = 30 * time.Second

// asyncSender sends by PublishAsync of an unmodified JetStream client: a record
// in each message, or several.
type asyncSender struct {
	js      jetstream.JetStream
	subject string
	window  int // messages that are not acknowledged
	maker   *recordMaker
	many    int      // records in a message
	buffers [][]byte // one for each message that may be in flight
}

// newAsyncSender returns a sender with a window of so many messages of so many
// records each.
func newAsyncSender(conn *nats.Conn, subject string, maker *recordMaker, window, many int) (sender, error) {
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(window))
	if err != nil {
		return nil, err
	}
	s := &asyncSender{
		js: js, subject: subject, window: window, maker: maker, many: many,
		// One is being filled, one is being looked at, the others wait.
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
		future, err := s.js.PublishAsync(s.subject, data, jetstream.WithStallWait(ackTimeout))
		if err != nil {
			return sent, err
		}
		sent += int64(s.many)
		select {
		case pending <- future:
		case <-counted:
			return sent, nil // the error is told there
		case <-ctx.Done():
			return sent, context.Cause(ctx)
		}
	}
}

// count waits for the acknowledgements, in the order of sending, and returns
// how many records they stand for.
func (s *asyncSender) count(ctx context.Context, pending <-chan jetstream.PubAckFuture) (acked int64, err error) {
	last := uint64(0)
	timeout := time.NewTimer(ackTimeout)
	defer timeout.Stop()
	for m := range pending {
		timeout.Reset(ackTimeout)
		select {
		case ack := <-m.Ok():
			if ack.Sequence <= last {
				return acked, fmt.Errorf("a message got sequence %d, the one before it had %d", ack.Sequence, last)
			}
			last = ack.Sequence
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

// close has nothing to end: every message is acknowledged, and the connection
// is not the sender's.
func (s *asyncSender) close(context.Context) error { return nil }
