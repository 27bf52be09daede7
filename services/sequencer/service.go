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
	if s.sub, err = s.wire.Subscribe(messages.SequencerWildcard, "", s.deliver); err == nil {
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
	s.wait.Go(func() { s.endIfReplaced(s.epoch.Watch(ctx)) })
	config.Logger.Info("sequencer is running", zap.Uint64("epoch", s.epoch.Epoch()))
	return s, nil
}

// deliver routes a message to its partition. Being fenced concerns the whole
// service.
func (s *Service) deliver(m messages.Message) {
	if fenced, ok := m.(messages.Fenced); ok {
		s.fenced(fenced.Epoch)
		return
	}
	s.set.Deliver(m)
}

// fenced is told that a replicator knows a higher epoch of this role: either a
// younger sequencer runs, or the bucket of epochs was lost and numbers began
// anew.
func (s *Service) fenced(highest uint64) {
	if highest <= s.epoch.Epoch() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	next, err := s.epoch.Raise(ctx, highest)
	s.endIfReplaced(err)
	switch {
	case errors.Is(err, ownership.ErrReplaced):
	case err != nil:
		s.config.Logger.Warn("no new epoch could be taken; trying again with the next message", zap.Error(err))
	default:
		s.config.Logger.Warn("a log or another service knows a higher epoch; took one above it", zap.Uint64("epoch", next))
	}
}

// endIfReplaced ends the service if an error says that a younger sequencer runs.
func (s *Service) endIfReplaced(err error) {
	if errors.Is(err, ownership.ErrReplaced) {
		s.ending.Fail(fmt.Errorf("sequencer: %w", err))
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

// Stop ends the service. What it holds is staged again when another sequencer
// runs. It closes neither the connection nor the telemetry.
func (s *Service) Stop(context.Context) error {
	err := transport.Unsubscribe(s.sub)
	s.stopWatch()
	s.wait.Wait()
	s.set.Stop()
	return errors.Join(err, s.unobserve())
}
