// Package sequencer runs the sequencer: for each log that this instance owns, an actor around the core
// that puts staged batches of its partitions back into ticket order.
//
// Any number of sequencers share the logs. Which instance owns which log, and in which epoch, is decided in
// internal/membership. This package starts and ends the actors accordingly. It decides nothing else:
// services/sequencer/core decides when a batch is released, which frontends are fenced, and what follows when
// this sequencer is.
package sequencer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/membership"
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
	// Membership says who the instance is. The service fills in the rest.
	Membership membership.Config
}

// Service is a running sequencer. It is safe for concurrent use.
type Service struct {
	*service.Base
	config   Config
	registry *topics.Registry
	set      *supervisor.Set[partition]
	joined   atomic.Pointer[membership.Member] // nil until the number of logs is known

	changed chan struct{} // has an element if what the instance owns, or which logs there are, may have changed

	mu   sync.Mutex
	logs map[uint16]*log // those with partitions
}

// Start serves the logs that the instance is given. ctx bounds only the start, which waits for JetStream.
func Start(ctx context.Context, config Config) (*Service, error) {
	config.Heartbeat = cmp.Or(config.Heartbeat, 200*time.Millisecond)
	s := &Service{Base: service.New(role, config.Config), config: config, changed: make(chan struct{}, 1), logs: make(map[uint16]*log)}
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
	if s.registry, err = topics.Open(ctx, s.config.Conn, js); err != nil {
		return err
	}
	if s.set, err = supervisor.Start(ctx, s.registry, s.config.Logger, s.partition); err != nil {
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
	s.Go(s.follow)
	s.OnStop(s.handOver)
	return nil
}

// log returns the place of a log. A new one is served soon if the instance owns the log.
func (s *Service) log(number uint16) *log {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[number]
	if l == nil {
		l = s.newLog(number)
		s.logs[number] = l
		s.look()
	}
	return l
}

// all returns the places of the logs that are known.
func (s *Service) all() []*log {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*log, 0, len(s.logs))
	for _, l := range s.logs {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *log) int { return cmp.Compare(a.number, b.number) })
	return all
}

// Stats returns the sums over all logs that the instance owns or has owned.
func (s *Service) Stats() (sum core.Stats) {
	for _, l := range s.all() {
		sum.Add(l.stats())
	}
	return sum
}

// Check returns why the sequencer is not ready, or nil. It needs to own no log.
func (s *Service) Check(ctx context.Context) error {
	if err := s.Base.Check(ctx); err != nil {
		return err
	}
	if m := s.joined.Load(); m != nil {
		if err := m.Err(); err != nil {
			return err
		}
	}
	return s.set.Err()
}
