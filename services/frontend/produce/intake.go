package produce

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/transport"
)

// Limits of the requests that wait to be admitted or rejected, per partition. Those beyond them
// are dropped and counted. The backlog guard unsubscribes long before.
const (
	maxWaiting      = 384 << 10
	maxWaitingBytes = 256 << 20
)

// intake owns the subscriptions for a partition's requests. One goroutine handles all
// requests, in the order of their arrival: that order is the order of the tickets.
type intake struct {
	arrivals *arrivals
	queue    queue
	log      *zap.Logger

	changing sync.Mutex // held while the subjects change, and while the intake is closed

	mu       sync.Mutex
	subjects []string
	subs     []*nats.Subscription
	paused   bool
	endPause context.CancelFunc // cancels the wait of the last pause; nil before the first
	wait     sync.WaitGroup     // for the goroutines of pauses
	closed   bool
}

// openIntake subscribes to the subjects.
func openIntake(arrivals *arrivals, subjects []string, handle nats.MsgHandler, log *zap.Logger) (*intake, error) {
	in := &intake{
		arrivals: arrivals, subjects: subjects, log: log,
		queue: queue{handle: handle, room: room{maxWaiting, maxWaitingBytes}, total: &arrivals.waiting},
	}
	in.mu.Lock()
	err := in.subscribe(in.subjects)
	in.mu.Unlock()
	if err != nil {
		_ = in.close() // the error of the subscription matters more
		return nil, err
	}
	return in, nil
}

// subscribe subscribes to subjects. The caller holds mu.
func (in *intake) subscribe(subjects []string) error {
	for _, subject := range subjects {
		sub, err := in.arrivals.subscribe(subject, &in.queue)
		if err != nil {
			return err
		}
		in.subs = append(in.subs, sub)
	}
	return nil
}

// change replaces the subjects. Each request that has arrived on any of them is handled, once and in
// the order of arrival. When change returns, the server has the new subscriptions, and everything
// that was delivered by the old ones is handled or in the queue. During a pause nothing is
// subscribed to, and its end subscribes to the subjects.
func (in *intake) change(ctx context.Context, subjects []string) error {
	in.changing.Lock()
	defer in.changing.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, closeTimeout, errors.New("the subscriptions have not drained"))
	defer cancel()
	leave, err := in.exchange(subjects)
	drained := transport.BeginDrain(leave...)
	if err == nil {
		err = in.arrivals.conn.Conn().FlushWithContext(ctx)
	}
	err = errors.Join(err, drained(ctx))
	in.arrivals.forget(leave)
	return err
}

// exchange subscribes to the subjects that are new, and returns the subscriptions to leave.
func (in *intake) exchange(subjects []string) (leave []*nats.Subscription, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	before := in.subjects
	in.subjects = subjects
	if in.paused || in.closed {
		return nil, nil
	}
	added := slices.DeleteFunc(slices.Clone(subjects), func(s string) bool { return slices.Contains(before, s) })
	if err := in.subscribe(added); err != nil {
		return nil, err
	}
	in.subs = slices.DeleteFunc(in.subs, func(sub *nats.Subscription) bool {
		gone := !slices.Contains(subjects, sub.Subject)
		if gone {
			leave = append(leave, sub)
		}
		return gone
	})
	return leave, nil
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
	left := in.subs
	drained := transport.BeginDrain(left...)
	in.wait.Go(func() { in.resume(ctx, left, drained) })
	return true
}

// resume subscribes again once all delivered requests are handled.
func (in *intake) resume(ctx context.Context, left []*nats.Subscription, drained func(context.Context) error) {
	ended := in.drained(ctx, left, drained) == nil
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

// drained waits until the server has ended the subscriptions and everything that they delivered is
// handled, or until ctx ends.
func (in *intake) drained(ctx context.Context, left []*nats.Subscription, drained func(context.Context) error) error {
	err := drained(ctx)
	in.arrivals.forget(left)
	return errors.Join(err, in.queue.empty(ctx))
}

// close unsubscribes, and returns when all delivered requests are handled or after
// closeTimeout.
func (in *intake) close() error {
	in.changing.Lock()
	defer in.changing.Unlock()
	in.mu.Lock()
	in.closed = true
	leave := in.endPause
	in.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(context.Background(), closeTimeout, errors.New("the subscriptions have not drained"))
	defer cancel()
	if leave != nil {
		stop := context.AfterFunc(ctx, leave)
		in.wait.Wait()
		stop()
		leave()
	}
	return in.drained(ctx, in.subs, transport.BeginDrain(in.subs...))
}

// closeTimeout bounds the wait for delivered requests.
const closeTimeout = 5 * time.Second
