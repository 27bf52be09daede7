// Package stager runs the stager: an actor around the core that gathers batches into
// objects, and the goroutines that put the objects into the store.
//
// It owns the subscription to the queue group of stagers and the puts in flight. It never
// lets the core refer to an object before the store holds it durably. Which batches are
// uploaded, retried and refused is decided in services/stager/core.
package stager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/fault"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/stager/core"
)

const role = "stager"

const (
	// flushTimeout bounds the wait for one answer of the NATS server.
	flushTimeout = 5 * time.Second
	// abandonTimeout bounds the wait for puts whose context has ended.
	abandonTimeout = 5 * time.Second
)

// Config is what a stager needs. Zero values take their defaults.
type Config struct {
	Conn          *nats.Conn
	Logger        *zap.Logger
	Telemetry     *telemetry.Telemetry
	Store         objectstore.Store
	Linger        time.Duration // how long an object waits for more batches; default 0: only while an upload runs
	ObjectBytes   int64         // default 4 MiB
	ObjectBatches int           // default 1000
	Uploads       int           // at once; default 8
	MemoryBytes   int64         // for batches that are being staged; default 256 MiB
	Faults        *fault.Faults // default none
}

func (c Config) orDefaults() Config {
	if c.ObjectBytes == 0 {
		c.ObjectBytes = 4 << 20
	}
	if c.ObjectBatches == 0 {
		c.ObjectBatches = 1000
	}
	if c.Uploads == 0 {
		c.Uploads = 8
	}
	if c.MemoryBytes == 0 {
		c.MemoryBytes = 256 << 20
	}
	return c
}

func (c Config) settings() core.Settings {
	return core.Settings{
		Linger: c.Linger, ObjectBytes: c.ObjectBytes, ObjectBatches: c.ObjectBatches,
		Uploads: c.Uploads, MemoryBytes: c.MemoryBytes,
	}
}

// Service is a running stager. It is safe for concurrent use.
type Service struct {
	config   Config
	settings core.Settings
	wire     *transport.Connection
	mailbox  *actor.Mailbox[core.Event]
	uploader uploader
	sub      *nats.Subscription

	queued     atomic.Int64  // payload bytes in the mailbox
	turnedAway atomic.Uint64 // batches refused before they reached the core
	stats      atomic.Pointer[core.Stats]

	work      context.Context // of the uploads; ends when the service gives up
	giveUp    context.CancelFunc
	uploads   sync.WaitGroup
	ended     chan struct{} // closed when the actor's goroutine has ended
	ending    *actor.Ending
	unobserve func() error
}

// Start takes part in the staging of all partitions. ctx bounds only the start,
// which waits for NATS.
func Start(ctx context.Context, config Config) (*Service, error) {
	config = config.orDefaults()
	s := &Service{
		config: config, settings: config.settings(),
		wire:    transport.NewConnection(config.Conn, config.Logger),
		mailbox: actor.NewMailbox[core.Event](mailboxSize),
		uploader: uploader{
			store: config.Store, faults: config.Faults, log: config.Logger, spans: newSpans(config.Telemetry),
		},
		ended: make(chan struct{}), ending: actor.NewEnding(),
	}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start stager: %w", err)
	}
	config.Logger.Info("stager is running")
	return s, nil
}

func (s *Service) start(ctx context.Context) (err error) {
	if s.unobserve, err = s.observe(); err != nil {
		return err
	}
	// Uploads must outlive the context of the start.
	s.work, s.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	go s.run()
	s.sub, err = s.wire.Subscribe(messages.StageSubject, messages.StagerQueue, s.deliver)
	if err == nil {
		err = s.subscribed(ctx)
	}
	if err != nil {
		return errors.Join(err, s.cancel())
	}
	return nil
}

// subscribed returns when the server has the subscription, or when ctx has ended.
func (s *Service) subscribed(ctx context.Context) error {
	for {
		err := s.wire.Flush(flushTimeout)
		if err == nil || ctx.Err() != nil || !errors.Is(err, nats.ErrTimeout) {
			return err
		}
	}
}

// Check returns why the stager is not ready, or nil.
func (s *Service) Check(context.Context) error {
	if err := s.Err(); err != nil {
		return err
	}
	if !s.config.Conn.IsConnected() {
		return protocol.NewError(protocol.CodeUnavailable, "not connected to NATS")
	}
	return nil
}

// Done is closed when the service has ended by itself; Err says why. That does not happen:
// a stager owns nothing that another instance could take over.
func (s *Service) Done() <-chan struct{} { return s.ending.Done() }

// Err returns what ended the service; nil while Done is open.
func (s *Service) Err() error { return s.ending.Err() }

// Stop ends the service: it takes in what NATS has delivered, uploads what waits, and sends
// the results. When ctx ends before that, what is not uploaded is refused, so that another
// stager gets it. Stop closes neither the connection nor the store nor the telemetry.
func (s *Service) Stop(ctx context.Context) error {
	err := s.unsubscribe(ctx)
	// If the mailbox has no room until ctx ends, Abandon follows.
	_ = s.mailbox.Put(ctx, core.Drain{})
	select {
	case <-s.ended:
		s.uploads.Wait()
		s.giveUp()
	case <-ctx.Done():
		err = errors.Join(err, s.abandon())
	}
	return errors.Join(err, s.flush(), s.unobserve())
}

// unsubscribe ends the subscription. If there is time, what NATS has delivered reaches the
// mailbox first.
func (s *Service) unsubscribe(ctx context.Context) error {
	if ctx.Err() != nil || !s.config.Conn.IsConnected() {
		return transport.Unsubscribe(s.sub)
	}
	return transport.Drain(s.sub)
}

// abandon refuses what waits and cancels the puts in flight.
func (s *Service) abandon() error {
	s.giveUp()
	ctx, cancel := context.WithTimeout(context.Background(), abandonTimeout)
	defer cancel()
	_ = s.mailbox.Put(ctx, core.Abandon{})
	select {
	case <-s.ended:
		s.uploads.Wait()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a canceled upload has not ended within %v; is the object store hanging?", abandonTimeout)
	}
}

// cancel undoes a start that failed.
func (s *Service) cancel() error {
	var err error
	if s.sub != nil {
		err = transport.Unsubscribe(s.sub)
	}
	return errors.Join(err, s.abandon(), s.unobserve())
}

// flush returns when the server has the results. Without a connection they are lost, and
// the batches are staged again.
func (s *Service) flush() error {
	if !s.config.Conn.IsConnected() {
		return nil
	}
	return s.wire.Flush(flushTimeout)
}
