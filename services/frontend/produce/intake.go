package produce

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
)

// What may wait to be admitted or rejected, for each partition. The NATS client drops
// and counts what comes beyond it. The backlog guard leaves the subjects long before.
const (
	maxWaiting      = 384 << 10
	maxWaitingBytes = 256 << 20
)

// intake is the subscriptions on which a partition's requests arrive. One
// goroutine handles them all, in the order in which they arrived.
type intake struct {
	conn      *transport.Connection
	subjects  []string
	handle    nats.MsgHandler
	log       *zap.Logger
	collector *collector // of several subjects; nil for one

	handled atomic.Int64 // weight of what was handled

	mu       sync.Mutex
	subs     []*nats.Subscription
	paused   bool
	endPause context.CancelFunc // ends the wait of the last pause; nil without one
	wait     sync.WaitGroup     // for the goroutines of pauses
	closed   bool
}

// openIntake subscribes to the subjects. A subscription with a callback has a
// goroutine of its own, so that several would mix up the requests of a producer.
// Several subjects therefore share a channel, which the connection fills in the
// order of arrival.
func openIntake(conn *transport.Connection, subjects []string, handle nats.MsgHandler, log *zap.Logger) (*intake, error) {
	in := &intake{conn: conn, subjects: subjects, handle: handle, log: log}
	if len(subjects) > 1 {
		in.collector = collect(in.take, room{maxWaiting, maxWaitingBytes})
	}
	if err := in.subscribe(); err != nil {
		_ = in.close() // the error to report is that of the subscription
		return nil, err
	}
	return in, nil
}

// take handles a message.
func (in *intake) take(m *nats.Msg) {
	in.handle(m)
	in.handled.Add(weight(1, int64(len(m.Data))))
}

func (in *intake) subscribe() error {
	for _, subject := range in.subjects {
		var sub *nats.Subscription
		var err error
		if in.collector != nil {
			sub, err = in.conn.Conn().ChanQueueSubscribe(subject, messages.FrontendQueue, in.collector.arrived)
		} else {
			sub, err = in.conn.Conn().QueueSubscribe(subject, messages.FrontendQueue, in.take)
		}
		if err != nil {
			return err
		}
		in.subs = append(in.subs, sub)
		if in.collector == nil {
			if err := sub.SetPendingLimits(maxWaiting, maxWaitingBytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// waiting returns the weight of what has arrived and is not handled.
func (in *intake) waiting() int64 {
	if in.collector != nil {
		return weight(in.collector.waiting())
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.subs) == 0 {
		return 0
	}
	messages, bytes, err := in.subs[0].Pending()
	if err != nil {
		return 0 // it was drained
	}
	return weight(int64(messages), int64(bytes))
}

// dropped returns how many requests had no room in the collector.
func (in *intake) dropped() uint64 {
	if in.collector == nil {
		return 0
	}
	return in.collector.dropped.Load()
}

// pause leaves the subjects until everything that was delivered is handled:
// meanwhile NATS answers requests with "no responders". It does not wait, and reports
// whether it began a pause.
func (in *intake) pause() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.paused || in.closed {
		return false
	}
	in.paused = true
	ctx, cancel := context.WithCancel(context.Background())
	in.endPause = cancel
	drained := transport.BeginDrain(in.subs...)
	in.wait.Go(func() { in.resume(ctx, drained) })
	return true
}

// resume subscribes again once everything is handled.
func (in *intake) resume(ctx context.Context, drained func(context.Context) error) {
	ended := in.drained(ctx, drained)
	in.mu.Lock()
	defer in.mu.Unlock()
	if ended {
		in.subs = nil
	}
	if in.closed {
		return
	}
	if err := in.subscribe(); err != nil {
		in.log.Error("the partition cannot be produced to; restart the frontend", zap.Error(err))
		return
	}
	in.paused = false
}

// drained reports whether everything that was delivered was handled before ctx ended.
// It looks more often than the client does: the less time passes until the next
// subscription, the more requests are answered by Laneway.
func (in *intake) drained(ctx context.Context, drain func(context.Context) error) bool {
	closed := make(chan struct{})
	in.wait.Go(func() {
		if drain(ctx) == nil {
			close(closed)
		}
	})
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	delivered := in.conn.Conn().FlushWithContext(bounded) == nil // nothing comes after this
	cancel()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if delivered && in.waiting() == 0 {
				return true
			}
		case <-closed:
			closed, delivered = nil, true
		case <-ctx.Done():
			return false
		}
	}
}

// close ends the subscriptions and returns when all that was delivered is handled.
func (in *intake) close() error {
	in.mu.Lock()
	in.closed = true
	leave := in.endPause
	paused := in.paused
	in.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(context.Background(), closeTimeout, errors.New("the subscriptions have not drained"))
	defer cancel()
	if leave != nil {
		if !paused {
			leave() // of a pause that has ended, only a look at its subscriptions is left
		}
		stop := context.AfterFunc(ctx, leave)
		in.wait.Wait()
		stop()
		leave()
	}
	err := transport.DrainWithin(ctx, in.subs...)
	if in.collector != nil {
		in.collector.close()
	}
	return err
}

// closeTimeout bounds the wait for what was delivered.
const closeTimeout = 5 * time.Second
