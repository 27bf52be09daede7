// Package transport sends and receives Laneway's internal messages over NATS. It encodes and
// publishes the envelopes of a pure core, and decodes messages for it. It decides nothing.
package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/pkg/messages"
)

// Connection is a NATS connection for internal messages. It counts and logs failures. It is
// safe for concurrent use.
type Connection struct {
	conn        *nats.Conn
	log         *zap.Logger
	malformed   atomic.Uint64
	drops       *drops
	probeAnswer []byte
}

// NewConnection wraps conn, and counts what any of its subscriptions drops.
func NewConnection(conn *nats.Conn, log *zap.Logger) *Connection {
	c := &Connection{conn: conn, log: log, drops: &drops{log: log}}
	conn.SetErrorHandler(c.drops.handle(conn.ErrorHandler()))
	return c
}

// CredentialsRefused reports whether a connection failed because NATS does not
// accept the credentials, or needs some.
func CredentialsRefused(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired)
}

// Options are the options for the connection of every owner of state. It reconnects without
// limit, and buffers no writes while it is disconnected. Otherwise, an owner that was
// replaced during the disconnection would send stale messages when it reconnects.
func Options(name string, log *zap.Logger) []nats.Option {
	var refused atomic.Bool // logged once per disconnection
	return []nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // or the connection is closed at the second refusal
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		nats.Timeout(2 * time.Second),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(c *nats.Conn, err error) {
			if c.IsClosed() {
				return
			}
			log.Warn("disconnected from NATS; reconnecting for as long as it takes", zap.Error(err))
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			refused.Store(false)
			log.Info("connected to NATS again", zap.String("url", c.ConnectedUrlRedacted()))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if CredentialsRefused(err) {
				if !refused.Swap(true) {
					log.Error("NATS refuses the credentials; reconnecting until it accepts them, or the process is started with others", zap.Error(err))
				}
				return
			}
			if errors.Is(err, nats.ErrBadHeaderMsg) {
				return // the receiver of the message rejects it, see ReadHeader
			}
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Error("NATS reports an asynchronous error", zap.String("subject", subject), zap.Error(err))
		}),
	}
}

// Subscribe calls handle for every message of a subject, in the order of arrival, on one
// goroutine. The messages of a parcel are handled one by one. With a queue name, the subscription shares the messages with others of that
// name. Probes are answered here, see [messages.ProbePrefix]. A parcel that cannot be
// decoded is logged, counted and dropped.
func (c *Connection) Subscribe(subject, queue string, handle func(messages.Message)) (*nats.Subscription, error) {
	callback := func(m *nats.Msg) {
		if isProbe(m) {
			c.answerProbe(m)
			return
		}
		if err := messages.DecodeParcel(m.Data, handle); err != nil {
			c.malformed.Add(1)
			c.log.Error("a message could not be read; is a service of another version running?",
				zap.String("subject", m.Subject), zap.Int("bytes", len(m.Data)), zap.Error(err))
		}
	}
	sub, err := c.conn.QueueSubscribe(subject, queue, callback)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	if err := sub.SetPendingLimits(1<<20, 512<<20); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	return sub, nil
}

// isProbe reports whether a message is a probe. Other reply subjects are not answered, since
// they could belong to a log or an API.
func isProbe(m *nats.Msg) bool {
	return len(m.Data) == 0 && strings.HasPrefix(m.Reply, messages.ProbePrefix)
}

// AnswerProbesWith sets the data with which probes are answered; without it there is none. It MUST
// be called before Subscribe.
func (c *Connection) AnswerProbesWith(data string) { c.probeAnswer = []byte(data) }

func (c *Connection) answerProbe(m *nats.Msg) {
	if err := m.Respond(c.probeAnswer); err != nil && !errors.Is(err, nats.ErrReconnectBufExceeded) {
		c.log.Warn("a probe could not be answered; it will be repeated", zap.Error(err))
	}
}

// Unsubscribe ends a subscription. It returns nil if the subscription has already ended.
func Unsubscribe(sub *nats.Subscription) error {
	err := sub.Unsubscribe()
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return nil
	}
	return err
}

// Drain is DrainWithin for five seconds.
func Drain(subs ...*nats.Subscription) error {
	timeout, cancel := context.WithTimeoutCause(context.Background(), drainTimeout, fmt.Errorf("not within %s", drainTimeout))
	defer cancel()
	return DrainWithin(timeout, subs...)
}

const drainTimeout = 5 * time.Second

// DrainWithin ends all of the subscriptions at the same time. It returns when every delivered
// message has been handled by its callback or is in its channel, or when ctx ends.
func DrainWithin(ctx context.Context, subs ...*nats.Subscription) error {
	return BeginDrain(subs...)(ctx)
}

// BeginDrain asks the server to end all of the subscriptions, and does not wait. The returned
// function waits like DrainWithin.
func BeginDrain(subs ...*nats.Subscription) (drained func(context.Context) error) {
	var errs []error
	closed := make([]chan struct{}, len(subs))
	for i, sub := range subs {
		closed[i] = make(chan struct{})
		// The client may say so twice when the connection closes meanwhile.
		ended := sync.OnceFunc(func() { close(closed[i]) })
		sub.SetClosedHandler(func(string) { ended() })
		if err := sub.Drain(); err != nil {
			errs = append(errs, Unsubscribe(sub))
			ended()
		}
	}
	return func(ctx context.Context) error {
		for i, sub := range subs {
			select {
			case <-closed[i]:
			case <-ctx.Done():
				errs = append(errs, fmt.Errorf("%s has not drained: %w", sub.Subject, context.Cause(ctx)))
			}
		}
		return errors.Join(errs...)
	}
}

// Malformed returns how many messages could not be decoded.
func (c *Connection) Malformed() uint64 { return c.malformed.Load() }

// Dropped returns how many messages the client has dropped because they arrived faster than
// they were handled.
func (c *Connection) Dropped() uint64 { return c.drops.total() }

// Flush returns when the server has processed all subscriptions and messages so far.
func (c *Connection) Flush(timeout time.Duration) error { return c.conn.FlushTimeout(timeout) }

// Conn returns the connection itself.
func (c *Connection) Conn() *nats.Conn { return c.conn }
