// Package sequencer runs the sequencer: for each log that this instance owns, an actor around the core
// that puts staged batches of its partitions back into ticket order.
//
// Any number of sequencers share the logs. Package tenure begins and ends the actors. This package decides nothing:
// services/sequencer/core decides when a batch is released, which frontends are fenced, and what follows when
// this sequencer is.
package sequencer

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/membership"
	"laneway.dev/internal/service"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/tenure"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/sequencer/core"
)

const role = "sequencer"

// Config is what a sequencer needs. Zero times take their defaults.
type Config struct {
	service.Config
	Heartbeat time.Duration // default 200 ms
	// Membership says who the instance is. The service fills in the rest.
	Membership membership.Config
}

// Service is a running sequencer. It is safe for concurrent use.
type Service struct {
	*service.Base
	config  Config
	set     *supervisor.Set[partition]
	tenures *tenure.Logs[*work]

	mu   sync.Mutex
	logs map[uint16]*log // those with partitions, now or before
}

// Start serves the logs that the instance is given. ctx bounds only the start, which waits for JetStream.
func Start(ctx context.Context, config Config) (*Service, error) {
	config.Heartbeat = cmp.Or(config.Heartbeat, 200*time.Millisecond)
	s := &Service{Base: service.New(role, config.Config), config: config, logs: make(map[uint16]*log)}
	if err := s.start(ctx); err != nil {
		return nil, s.Abort(err)
	}
	config.Logger.Info("sequencer is running")
	return s, nil
}

func (s *Service) start(ctx context.Context) error {
	js, err := jetstream.New(s.config.Conn)
	if err != nil {
		return err
	}
	m := &s.config.Membership
	m.Conn, m.JS, m.Logger, m.Role = s.config.Conn, js, s.config.Logger, role
	registry, err := topics.Open(ctx, s.config.Conn, js)
	if err != nil {
		return err
	}
	s.tenures = tenure.New[*work](registry, *m, 0)
	if s.set, err = supervisor.Start(ctx, registry, s.config.Logger, s.partition); err != nil {
		return err
	}
	s.OnStop(func(context.Context) error { s.set.Stop(); return nil })
	if err := s.Observe(readings, s.values); err != nil {
		return err
	}
	// A probe asks whether there is a sequencer at all, and the transport answers it.
	if _, err = s.Subscribe(ctx, messages.SequencerProbe, "", func(messages.Message) {}); err != nil {
		return err
	}
	s.Go(func(ctx context.Context) { s.tenures.Run(ctx, s.Fail) })
	s.OnStop(s.tenures.Stop)
	return nil
}

// log returns what is known of a log. A new one is served soon if the instance owns it.
func (s *Service) log(number uint16) *log {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[number]
	if l == nil {
		l = s.newLog(number)
		s.logs[number] = l
	}
	return l
}

// all returns the logs that are known.
func (s *Service) all() []*log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.logs))
}

// Stats returns the sums over all logs that the instance owns or has owned.
func (s *Service) Stats() (sum core.Stats) {
	for _, l := range s.all() {
		sum.Add(l.stats())
	}
	return sum
}

// Check returns why the sequencer is not ready, or nil.
func (s *Service) Check(ctx context.Context) error {
	if err := s.Base.Check(ctx); err != nil {
		return err
	}
	if err := s.tenures.Check(); err != nil {
		return err
	}
	return s.set.Err()
}
