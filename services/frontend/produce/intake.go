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

// Limits of the requests that wait to be admitted or rejected, per partition. The NATS
// client drops and counts those beyond them. The backlog guard unsubscribes long before.
const (
	maxWaiting      = 384 << 10
	maxWaitingBytes = 256 << 20
)

// intake owns the subscriptions for a partition's requests. One goroutine handles all
// requests, in the order of their arrival: that order is the order of the tickets.
type intake struct {
	conn   *transport.Connection
	handle nats.MsgHandler
	log    *zap.Logger

	handled atomic.Int64 // weight of the handled requests

	changing sync.Mutex // held while the subjects change, and while the intake is closed

	mu        sync.Mutex
	subjects  []string
	collector *collector // of several subjects; nil if there was always one
	subs      []*nats.Subscription
	paused    bool
	endPause  context.CancelFunc // cancels the wait of the last pause; nil before the first
	wait      sync.WaitGroup     // for the goroutines of pauses
	closed    bool
}

// openIntake subscribes to the subjects. Each subscription with a callback has its own
// goroutine, so with several of them two requests of one producer could be handled in the
// wrong order. Several subjects therefore share a channel, which the connection fills in
// the order of arrival.
func openIntake(conn *transport.Connection, subjects []string, handle nats.MsgHandler, log *zap.Logger) (*intake, error) {
	in := &intake{conn: conn, subjects: subjects, handle: handle, log: log}
	in.mu.Lock()
	err := in.subscribe(in.subjects)
	in.mu.Unlock()
	if err != nil {
		_ = in.close() // the error of the subscription matters more
		return nil, err
	}
	return in, nil
}

// take handles a message.
func (in *intake) take(m *nats.Msg) {
	in.handle(m)
	in.handled.Add(weight(1, int64(len(m.Data))))
}

// subscribe subscribes to subjects. It starts the collector if there are several subjects now:
// no subscription with a callback exists then. The caller holds mu.
func (in *intake) subscribe(subjects []string) error {
	if in.collector == nil && len(in.subjects) > 1 {
		begins := make(chan struct{})
		close(begins)
		in.collect(begins)
	}
	for _, subject := range subjects {
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

// collect starts the collector.
func (in *intake) collect(begins <-chan struct{}) {
	in.collector = collect(in.take, room{maxWaiting, maxWaitingBytes}, begins)
}

// waiting returns the weight of the requests that have arrived and are not handled.
func (in *intake) waiting() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.collector != nil {
		return weight(in.collector.waiting())
	}
	if len(in.subs) == 0 {
		return 0
	}
	messages, bytes, err := in.subs[0].Pending()
	if err != nil {
		return 0 // the subscription is drained
	}
	return weight(int64(messages), int64(bytes))
}

// dropped returns how many requests the collector has dropped.
func (in *intake) dropped() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.collector == nil {
		return 0
	}
	return in.collector.dropped.Load()
}

// pause unsubscribes until all delivered requests are handled. In the meantime NATS answers
// requests with "no responders". pause does not wait; it reports whether it started a pause.
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

// resume subscribes again once all delivered requests are handled.
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
	if err := in.subscribe(in.subjects); err != nil {
		in.log.Error("the frontend cannot subscribe again to the produce subjects of the partition; restart the frontend", zap.Error(err))
		return
	}
	in.paused = false
}

// drained waits until all delivered requests are handled, and reports whether that happened
// before ctx ended. It checks more often than the client's own drain does, to keep the
// pause short.
func (in *intake) drained(ctx context.Context, drain func(context.Context) error) bool {
	closed := make(chan struct{})
	in.wait.Go(func() {
		if drain(ctx) == nil {
			close(closed)
		}
	})
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	delivered := in.conn.Conn().FlushWithContext(bounded) == nil // no request is delivered after this
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

// close unsubscribes, and returns when all delivered requests are handled or after
// closeTimeout.
func (in *intake) close() error {
	in.changing.Lock()
	defer in.changing.Unlock()
	in.mu.Lock()
	in.closed = true
	leave := in.endPause
	paused := in.paused
	in.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(context.Background(), closeTimeout, errors.New("the subscriptions have not drained"))
	defer cancel()
	if leave != nil {
		if !paused {
			leave() // the pause has ended; only the drain of its subscriptions is waited for
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

// closeTimeout bounds the wait for delivered requests.
const closeTimeout = 5 * time.Second
