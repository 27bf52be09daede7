// Package sequencer runs the sequencer: for each partition, an actor around the core that
// puts staged batches back into ticket order.
//
// It owns the epoch of this instance and the subscription to the sequencer's subjects. It
// decides nothing: what is released when, and what follows from a fence, is decided in
// services/sequencer/core.
package sequencer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/sequencer/core"
)

const role = "sequencer"

// Config is what a sequencer needs. Zero times take their defaults.
type Config struct {
	Conn      *nats.Conn
	Logger    *zap.Logger
	Telemetry *telemetry.Telemetry
	Heartbeat time.Duration // default 200 ms
}

// Service is a running sequencer. It is safe for concurrent use.
type Service struct {
	config Config
	js     jetstream.JetStream
	wire   *transport.Connection
	set    *supervisor.Set[*partition]
	sub    *nats.Subscription
	epoch  *ownership.Holder

	ending    *actor.Ending
	unobserve func() error

	wait      sync.WaitGroup // the goroutine that watches the epoch
	stopWatch context.CancelFunc
}

// Start takes an epoch and serves every partition. ctx bounds only the start,
// which waits for JetStream.
func Start(ctx context.Context, config Config) (*Service, error) {
	if config.Heartbeat == 0 {
		config.Heartbeat = 200 * time.Millisecond
	}
	js, err := jetstream.New(config.Conn)
	if err != nil {
		return nil, fmt.Errorf("start sequencer: %w", err)
	}
	s := &Service{
		config: config, js: js, wire: transport.NewConnection(config.Conn, config.Logger), ending: actor.NewEnding(),
	}
	if s.epoch, err = ownership.Hold(ctx, js, role); err != nil {
		return nil, fmt.Errorf("start sequencer: %w", err)
	}
	registry, err := topics.Open(ctx, config.Conn, js)
	if err != nil {
		return nil, fmt.Errorf("start sequencer: %w", err)
	}
	s.set, err = supervisor.Start(ctx, registry, config.Logger, s.partition)
	if err != nil {
		return nil, fmt.Errorf("start sequencer: %w", err)
	}
	if s.sub, err = s.wire.Subscribe(messages.SequencerWildcard, "", s.set.Deliver); err == nil {
		err = s.wire.Flush(5 * time.Second)
	}
	if err != nil {
		s.set.Stop()
		return nil, fmt.Errorf("start sequencer: %w", err)
	}
	if s.unobserve, err = s.observe(); err != nil {
		s.set.Stop()
		return nil, fmt.Errorf("start sequencer: %w", err)
	}
	ctx, s.stopWatch = context.WithCancel(context.Background())
	s.wait.Go(func() { s.watch(ctx) })
	config.Logger.Info("sequencer is running", zap.Uint64("epoch", s.epoch.Epoch()))
	return s, nil
}

// watch notices a younger sequencer while no message says so.
func (s *Service) watch(ctx context.Context) {
	if err := s.epoch.Watch(ctx); errors.Is(err, ownership.ErrReplaced) {
		s.replaced(ctx, err)
	}
}

// replaced ends the service, because a younger sequencer runs. The error is set first: a
// partition that starts meanwhile finds it, all others are told.
func (s *Service) replaced(ctx context.Context, err error) {
	s.ending.Fail(fmt.Errorf("sequencer: %w", err))
	s.tellAll(ctx, core.Replaced{})
}

func (s *Service) tellAll(ctx context.Context, e core.Event) {
	for _, p := range s.set.Actors() {
		p.put(ctx, e)
	}
}

// Check returns why the sequencer is not ready, or nil.
func (s *Service) Check(context.Context) error {
	if err := s.Err(); err != nil {
		return err
	}
	if !s.config.Conn.IsConnected() {
		return protocol.NewError(protocol.CodeUnavailable, "not connected to NATS")
	}
	return s.set.Err()
}

// Done is closed when the service has ended by itself; Err says why.
func (s *Service) Done() <-chan struct{} { return s.ending.Done() }

// Err returns what ended the service; nil while Done is open.
func (s *Service) Err() error { return s.ending.Err() }

// Stop ends the service. What it holds is staged again when another sequencer runs. Stop
// closes neither the connection nor the telemetry.
func (s *Service) Stop(context.Context) error {
	err := transport.Unsubscribe(s.sub)
	s.stopWatch()
	s.wait.Wait()
	s.set.Stop()
	return errors.Join(err, s.unobserve())
}
