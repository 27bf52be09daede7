// Package sequencer runs the sequencer: for each log, an actor around the core that puts staged
// batches of its partitions back into ticket order.
//
// It owns the epoch of this instance and the subscription to the sequencer's subjects. It
// decides nothing: services/sequencer/core decides when a batch is released, which frontends
// are fenced, and what follows when this sequencer is.
package sequencer

import (
	"cmp"
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/ownership"
	"laneway.dev/internal/service"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/sequencer/core"
)

const role = "sequencer"

// Config is what a sequencer needs. Zero times take their defaults.
type Config struct {
	service.Config
	Heartbeat time.Duration // default 200 ms
}

// Service is a running sequencer. It is safe for concurrent use.
type Service struct {
	*service.Base
	config Config
	epoch  *ownership.Holder
	logs   *supervisor.Logs[*log]
	set    *supervisor.Set[partition]
}

// Start takes an epoch and serves every partition. ctx bounds only the start,
// which waits for JetStream.
//
// Batches that wait in a sequencer when it stops are lost there. Their frontends have them
// staged again, for the next sequencer.
func Start(ctx context.Context, config Config) (*Service, error) {
	config.Heartbeat = cmp.Or(config.Heartbeat, 200*time.Millisecond)
	s := &Service{Base: service.New(role, config.Config), config: config}
	if err := s.start(ctx); err != nil {
		return nil, s.Abort(err)
	}
	config.Logger.Info("sequencer is running", zap.Uint64("epoch", s.epoch.Epoch()))
	return s, nil
}

func (s *Service) start(ctx context.Context) error {
	js, err := jetstream.New(s.config.Conn)
	if err != nil {
		return err
	}
	if s.epoch, err = ownership.Hold(ctx, js, role); err != nil {
		return err
	}
	registry, err := topics.Open(ctx, s.config.Conn, js)
	if err != nil {
		return err
	}
	s.logs = supervisor.NewLogs(s.startLog)
	s.OnStop(func(context.Context) error { s.logs.Stop(); return nil })
	if s.set, err = supervisor.Start(ctx, registry, s.config.Logger, s.partition); err != nil {
		return err
	}
	s.OnStop(func(context.Context) error { s.set.Stop(); return nil })
	if err := s.Observe(readings, s.values); err != nil {
		return err
	}
	s.Go(s.watch)
	_, err = s.Subscribe(ctx, messages.SequencerWildcard, "", s.set.Deliver)
	return err
}

// watch looks for a younger sequencer, in case that no message reports one.
func (s *Service) watch(ctx context.Context) {
	s.endIfReplaced(ctx, s.epoch.Watch(ctx))
}

// endIfReplaced ends the service, and returns true, if err means that a younger sequencer is
// running. It records the end of the service before it sends events. So every log receives an
// event, except one that starts later, which finds that the service has ended.
func (s *Service) endIfReplaced(ctx context.Context, err error) bool {
	replaced := s.FailIfReplaced(err)
	if replaced {
		s.tellAll(ctx, core.Replaced{})
	}
	return replaced
}

func (s *Service) tellAll(ctx context.Context, e core.Event) {
	for _, l := range s.logs.All() {
		l.put(ctx, e)
	}
}

// Check returns why the sequencer is not ready, or nil.
func (s *Service) Check(ctx context.Context) error {
	if err := s.Base.Check(ctx); err != nil {
		return err
	}
	return s.set.Err()
}
