// Package replicator runs the owners of the partitions' logs over NATS. What they decide
// is in its package core; this one receives and sends messages, reads and appends to
// JetStream streams, and stores snapshots and marks.
package replicator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/snapshots"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

const role = "replicator"

// Config is what a replicator needs. Zero times take their defaults.
type Config struct {
	Conn          *nats.Conn
	Logger        *zap.Logger
	Telemetry     *telemetry.Telemetry
	AppendTimeout time.Duration // after which an append is settled by reading the log; default 2 s
	// SnapshotEntries is how many entries of a log are appended from one snapshot to
	// the next; default 10,000.
	SnapshotEntries uint64
}

// Service is a running replicator. It is safe for concurrent use.
type Service struct {
	config    Config
	settings  core.Settings
	js        jetstream.JetStream
	wire      *transport.Connection
	registry  *topics.Registry
	snapshots *snapshots.Store
	marks     *marks.Store
	set       *supervisor.Set[*owner]
	sub       *nats.Subscription
	epoch     *ownership.Holder
	ending    *actor.Ending
	scrubs    chan struct{} // held by the partition that is scrubbed
	unobserve func() error

	wait      sync.WaitGroup // the goroutines that watch the connection and the epoch
	stopWatch context.CancelFunc
}

// Start takes an epoch and serves every partition. ctx bounds only the start, which waits for
// JetStream.
func Start(ctx context.Context, config Config) (*Service, error) {
	if config.AppendTimeout == 0 {
		config.AppendTimeout = 2 * time.Second
	}
	s := &Service{
		config: config, settings: core.DefaultSettings(nuid.Next()),
		wire: transport.NewConnection(config.Conn, config.Logger), ending: actor.NewEnding(), scrubs: make(chan struct{}, 1),
	}
	if config.SnapshotEntries != 0 {
		s.settings.SnapshotEvery = config.SnapshotEntries
	}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start replicator: %w", err)
	}
	config.Logger.Info("replicator is running", zap.String("owner", s.settings.Owner), zap.Uint64("epoch", s.epoch.Epoch()))
	return s, nil
}

func (s *Service) start(ctx context.Context) (err error) {
	if s.js, err = jetstream.New(s.config.Conn); err != nil {
		return err
	}
	if s.epoch, err = ownership.Hold(ctx, s.js, role); err != nil {
		return err
	}
	if s.registry, err = topics.Open(ctx, s.config.Conn, s.js); err != nil {
		return err
	}
	if s.snapshots, err = snapshots.Open(ctx, s.config.Conn, s.js); err != nil {
		return err
	}
	if s.marks, err = marks.Open(ctx, s.config.Conn, s.js); err != nil {
		return err
	}
	if s.set, err = supervisor.Start(ctx, s.registry, s.config.Logger, s.owner); err != nil {
		return err
	}
	if s.sub, err = s.wire.Subscribe(messages.ReplicatorWildcard, "", s.set.Deliver); err == nil {
		err = s.wire.Flush(5 * time.Second)
	}
	if err == nil {
		s.unobserve, err = s.observe()
	}
	if err != nil {
		s.set.Stop()
		return err
	}
	ctx, s.stopWatch = context.WithCancel(context.Background())
	s.wait.Go(func() { s.watchConnection(ctx) })
	s.wait.Go(func() { s.endIfReplaced(s.epoch.Watch(ctx)) }) // also while nothing happens
	return nil
}

// raise returns an epoch above one, for as long as that takes. The error says that ctx has
// ended, that a younger replicator runs, or that the epochs cannot be read.
func (s *Service) raise(ctx context.Context, above uint64) (uint64, error) {
	return kvbucket.Retry(ctx, func(ctx context.Context) (uint64, error) {
		next, err := s.epoch.Raise(ctx, above)
		if errors.Is(err, ownership.ErrReplaced) {
			err = backoff.Permanent(err)
		}
		return next, err
	})
}

// replaced returns the event for an error which says that this replicator has no epoch.
func replaced(err error) core.Replaced {
	return core.Replaced{Err: fmt.Errorf("replicator: %w", err)}
}

// endIfReplaced ends the service if an error says that a younger replicator runs.
func (s *Service) endIfReplaced(err error) {
	if errors.Is(err, ownership.ErrReplaced) {
		s.ending.Fail(fmt.Errorf("replicator: %w", err))
	}
}

// watchConnection ends what waits for an answer of the server whenever the
// connection is lost: the answer will not come any more.
func (s *Service) watchConnection(ctx context.Context) {
	lost := s.config.Conn.StatusChanged(nats.RECONNECTING)
	defer s.config.Conn.RemoveStatusListener(lost)
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-lost:
			if !open {
				return
			}
			for _, p := range s.set.Actors() {
				p.interrupt()
			}
		}
	}
}

// Check returns why the replicator is not ready, or nil.
func (s *Service) Check(context.Context) error {
	if err := s.Err(); err != nil {
		return err
	}
	if !s.config.Conn.IsConnected() {
		return protocol.NewError(protocol.CodeUnavailable, "not connected to NATS")
	}
	if err := s.set.Err(); err != nil {
		return err
	}
	for _, p := range s.set.Actors() {
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
}

// Done is closed when the service has ended by itself; Err says why.
func (s *Service) Done() <-chan struct{} { return s.ending.Done() }

// Err returns what ended the service; nil while Done is open.
func (s *Service) Err() error { return s.ending.Err() }

// Stop ends the service. What was released to it and is not in the log is
// released again when another replicator runs. Owners leave marks that say where their
// logs end, for as long as ctx lives. It closes neither the connection nor the telemetry.
func (s *Service) Stop(ctx context.Context) error {
	err := transport.Unsubscribe(s.sub)
	s.stopOwners(ctx)
	s.stopWatch()
	s.set.Stop()
	s.wait.Wait()
	return errors.Join(err, s.unobserve())
}

// stopTime bounds how long owners may take to leave their marks.
const stopTime = 5 * time.Second

func (s *Service) stopOwners(ctx context.Context) {
	if s.Err() != nil {
		return // replaced: the marks are another owner's
	}
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	var wait sync.WaitGroup
	for _, p := range s.set.Actors() {
		wait.Go(func() { p.stop(ctx) })
	}
	wait.Wait()
}
