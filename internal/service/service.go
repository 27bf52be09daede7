// Package service has the parts that all services share: the start and the stop in the right
// order, subscriptions to internal messages, readiness, and the end of a service that was
// replaced.
//
// A service embeds [Base]. Whatever its start begins registers a step that ends it again.
// Stop runs these steps in reverse order, and so does Abort after a start that failed half
// way. The package knows nothing of what a service does.
package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// flushTimeout bounds the wait for one answer of the NATS server.
const flushTimeout = 5 * time.Second

// Config is what every service needs. The service closes none of it.
type Config struct {
	Conn      *nats.Conn
	Logger    *zap.Logger
	Telemetry *telemetry.Telemetry
}

// Base is what all services have. It owns the steps of the stop, and what they end. It is
// safe for concurrent use.
type Base struct {
	*Ending
	Wire *transport.Connection // internal messages over Conn

	role   string
	config Config

	mu    sync.Mutex
	steps []func(context.Context) error // of the stop, in the order in which they were added
}

// New returns the base of a service in which nothing runs. Its owner MUST call Abort or Stop.
func New(role string, config Config) *Base {
	return &Base{
		Ending: NewEnding(role), Wire: transport.NewConnection(config.Conn, config.Logger), role: role, config: config,
	}
}

// OnStop adds a step to the stop. The step that was added last runs first. A step MUST return
// soon after its context has ended, and MUST release everything even then.
func (b *Base) OnStop(step func(context.Context) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.steps = append(b.steps, step)
}

// Go runs a goroutine, and ends its context when the service stops. run MUST return soon
// after that: the stop waits for it.
func (b *Base) Go(run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run(ctx)
	}()
	b.OnStop(func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}

// Subscribe hands the messages of a subject to handle, as [transport.Connection.Subscribe]
// does, until the service stops. It returns when the server has the subscription, however
// long that takes, or when ctx ends.
func (b *Base) Subscribe(ctx context.Context, subject, queue string, handle func(messages.Message)) (*nats.Subscription, error) {
	sub, err := b.Wire.Subscribe(subject, queue, handle)
	if err != nil {
		return nil, err
	}
	if err := b.Flush(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to %s: %w", subject, err), transport.Unsubscribe(sub))
	}
	b.OnStop(func(context.Context) error { return transport.Unsubscribe(sub) })
	return sub, nil
}

// Flush returns when the server has processed all subscriptions and messages so far, or when
// ctx ends. It waits for a server that is silent or cannot be reached, because services and
// NATS start in any order.
func (b *Base) Flush(ctx context.Context) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, flushTimeout)
		err := b.config.Conn.FlushWithContext(attempt)
		cancel()
		switch {
		case err == nil || b.config.Conn.IsClosed():
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrConnectionClosed):
			return err
		}
	}
}

// Observe shows readings as metrics until the service stops; see [telemetry.Observe].
func (b *Base) Observe(readings []telemetry.Reading, values func() []int64) error {
	unobserve, err := telemetry.Observe(b.config.Telemetry.Meter(b.role), readings, values)
	if err != nil {
		return err
	}
	b.OnStop(func(context.Context) error { return unobserve() })
	return nil
}

// OnStatus calls do each time that the connection gets a status, until the service stops.
func (b *Base) OnStatus(status nats.Status, do func()) {
	changed := b.config.Conn.StatusChanged(status)
	b.Go(func(ctx context.Context) {
		defer b.config.Conn.RemoveStatusListener(changed)
		for {
			select {
			case <-ctx.Done():
				return
			case _, open := <-changed:
				if !open {
					return
				}
				do()
			}
		}
	})
}

// Check returns why the service is not ready, or nil: it has ended by itself, or it is not
// connected. A service adds what else it needs.
func (b *Base) Check(context.Context) error {
	if err := b.Err(); err != nil {
		return err
	}
	if !b.config.Conn.IsConnected() {
		return protocol.NewError(protocol.CodeUnavailable, "not connected to NATS")
	}
	return nil
}

// Abort ends what a failed start has started, without waiting for anything in flight, and
// returns the error of the start.
func (b *Base) Abort(err error) error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	return fmt.Errorf("start %s: %w", b.role, errors.Join(err, b.end(ended)))
}

// Stop runs the steps of the stop, and returns when the server has received all messages that
// were sent. Steps that need time have it until ctx ends. The service MUST NOT be used after
// that. Further calls run no step.
func (b *Base) Stop(ctx context.Context) error {
	err := b.end(ctx)
	if b.config.Conn.IsConnected() { // else what is not sent is lost, and repaired by others
		err = errors.Join(err, b.Wire.Flush(flushTimeout))
	}
	return err
}

func (b *Base) end(ctx context.Context) error {
	var errs []error
	for step := b.last(); step != nil; step = b.last() {
		errs = append(errs, step(ctx))
	}
	return errors.Join(errs...)
}

// last removes and returns the step that was added last; nil if none is left.
func (b *Base) last() func(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.steps) == 0 {
		return nil
	}
	step := b.steps[len(b.steps)-1]
	b.steps = b.steps[:len(b.steps)-1]
	return step
}
