// Package frontend is the service that clients talk to. It takes produce requests, serves
// fetches, and serves the APIs of topics and producers.
//
// This package wires its parts together, starts and stops them, and reports whether they
// are ready. Package produce takes batches, topics and producers serve the APIs, fetch
// serves fetches, and the decisions are in core.
package frontend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/producerregistry"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
	"laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/core/rolewatch"
	"laneway.dev/services/frontend/fetch"
	"laneway.dev/services/frontend/produce"
	"laneway.dev/services/frontend/producers"
	topicapi "laneway.dev/services/frontend/topics"
)

const role = "frontend"

// Config is what a frontend needs. Zero values take their defaults.
type Config struct {
	Conn *nats.Conn
	// Requests is the connection on which produce requests arrive; default Conn. With a
	// separate one, neither slow clients nor a flood of requests delay other messages.
	Requests   *nats.Conn
	Logger     *zap.Logger
	Telemetry  *telemetry.Telemetry
	Store      objectstore.Store
	Times      core.Times // default: heartbeat 200 ms, stage timeout 2 s, deadline 30 s
	Limits     produce.Limits
	CacheBytes int64 // payloads kept in memory for readers; default 64 MiB
	MaxFetches int   // open fetches; default 1024
}

func (c Config) orDefaults() Config {
	if c.Requests == nil {
		c.Requests = c.Conn
	}
	if c.Times.Heartbeat == 0 {
		c.Times.Heartbeat = 200 * time.Millisecond
	}
	if c.Times.StageTimeout == 0 {
		c.Times.StageTimeout = 2 * time.Second
	}
	if c.Times.Deadline == 0 {
		c.Times.Deadline = 30 * time.Second
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	if c.MaxFetches == 0 {
		c.MaxFetches = 1024
	}
	return c
}

// Service is a running frontend. It is safe for concurrent use.
type Service struct {
	config    Config
	wire      *transport.Connection
	requested *transport.Connection // of Requests
	registry  *topics.Registry
	fetches   *fetch.Server
	epoch     *produce.Epoch
	produce   *produce.Service
	set       *supervisor.Set[*produce.Partition]
	watch     *topicapi.Watch
	probes    *probes
	api       *api.Server
	producers *producers.API
	errors    errorCounter
	ending    *actor.Ending
	unobserve func() error

	mu   sync.Mutex
	subs []*nats.Subscription // for internal messages

	wait      sync.WaitGroup // for the goroutines that watch the connection, the epoch and the other roles
	stopWatch context.CancelFunc
}

// Start takes an epoch and serves every partition and the APIs. ctx bounds only the
// start, which waits for JetStream. While JetStream does not write, Start returns without
// an epoch: then only fetches are served, until one can be taken.
func Start(ctx context.Context, config Config) (*Service, error) {
	config = config.orDefaults()
	if config.Times.Deadline > messages.MaxDeadline {
		return nil, fmt.Errorf("start frontend: a deadline of %s is longer than %s", config.Times.Deadline, messages.MaxDeadline)
	}
	s := &Service{config: config, wire: transport.NewConnection(config.Conn, config.Logger), ending: actor.NewEnding()}
	if s.requested = s.wire; config.Requests != config.Conn {
		s.requested = transport.NewConnection(config.Requests, config.Logger)
	}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start frontend: %w", err)
	}
	return s, nil
}

func (s *Service) start(ctx context.Context) error {
	js, err := jetstream.New(s.config.Conn)
	if err != nil {
		return err
	}
	if s.registry, err = topics.Open(ctx, s.config.Conn, js); err != nil {
		return err
	}
	named, err := producerregistry.Open(ctx, s.config.Conn, js)
	if err != nil {
		return err
	}
	if s.errors, err = newErrorCounter(s.config.Telemetry); err != nil {
		return err
	}
	if s.probes, err = newProbes(s.config.Conn, s.config.Logger, s.config.Times.Deadline); err != nil {
		return err
	}
	s.build(js, named)
	if s.set, err = supervisor.Start(ctx, s.registry, s.config.Logger, s.produce.Partition); err != nil {
		return err
	}
	watch, stopWatch := context.WithCancel(context.Background())
	s.stopWatch = stopWatch
	if err := s.run(ctx, watch, js); err != nil {
		stopWatch()
		s.wait.Wait()
		s.set.Stop()
		return err
	}
	return nil
}

// build makes the parts of the service.
func (s *Service) build(js jetstream.JetStream, named *producerregistry.Registry) {
	log := s.config.Logger
	s.fetches = fetch.New(fetch.Config{
		Conn: s.config.Conn, JS: js, Store: s.config.Store, Logger: log,
		CacheBytes: s.config.CacheBytes, MaxFetches: s.config.MaxFetches,
		Failed: func(code protocol.Code) { s.errors.add(kindFetch, code) }, Gone: s.registry.Gone,
	})
	s.epoch = produce.NewEpoch(produce.EpochConfig{JS: js, Logger: log, Subscribe: s.subscribe, Ending: s.ending})
	s.produce = produce.New(produce.Config{
		Conn: s.config.Conn, Wire: s.wire, Requests: s.requested, Logger: log, Telemetry: s.config.Telemetry,
		Times: s.config.Times, Limits: s.config.Limits, Fetches: s.fetches, Epoch: s.epoch, Ending: s.ending,
		Roles: s.roles, Failed: func(code protocol.Code) { s.errors.add(kindProduce, code) },
	})
	s.watch = topicapi.NewWatch(s.registry, log, s.boundSubjects)
	s.producers = producers.New(producers.Config{
		Wire: s.wire, Topics: s.registry, Registry: named,
		Heartbeat: s.config.Times.Heartbeat, Epoch: s.epoch.Number, Damage: s.damage,
	})
}

// run starts to receive. The goroutines that it starts live until watch ends.
func (s *Service) run(ctx, watch context.Context, js jetstream.JetStream) (err error) {
	if err := s.subscribe(messages.CommittedWildcard); err != nil {
		return err
	}
	s.wait.Go(func() { s.probes.run(watch) })
	claim := make(chan error, 1)
	s.wait.Go(func() { claim <- s.epoch.Claim(watch) })
	if err := s.epoch.Await(ctx, claim); err != nil {
		return err
	}
	if err := s.serveAPIs(js); err != nil {
		return err
	}
	if s.unobserve, err = s.observe(); err != nil {
		return err
	}
	s.wait.Go(func() { s.watchConnection(watch) })
	s.wait.Go(func() { s.watch.Run(watch) })
	return nil
}

func (s *Service) serveAPIs(js jetstream.JetStream) (err error) {
	if s.api, err = api.NewServer(s.config.Conn, s.config.Logger, func(kind api.Kind, code protocol.Code) { s.errors.add(string(kind), code) }); err != nil {
		return err
	}
	err = topicapi.Serve(topicapi.Config{
		Conn: s.config.Conn, JS: js, Server: s.api, Registry: s.registry, Watch: s.watch, Ready: s.awaitReady, Damage: s.damage,
	})
	if err == nil {
		err = s.producers.Serve(s.api)
	}
	if err != nil {
		return err
	}
	return s.wire.Flush(5 * time.Second)
}

// subscribe receives the internal messages to a subject.
func (s *Service) subscribe(subject string) error {
	sub, err := s.wire.Subscribe(subject, "", s.deliver)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.subs = append(s.subs, sub)
	s.mu.Unlock()
	return s.wire.Flush(5 * time.Second)
}

func (s *Service) deliver(m messages.Message) {
	if !s.producers.Receive(m) {
		s.set.Deliver(m)
	}
}

// watchConnection lets readers look up the ends of the logs after a disconnection, because
// news of commits may have been lost.
func (s *Service) watchConnection(ctx context.Context) {
	back := s.config.Conn.StatusChanged(nats.CONNECTED)
	defer s.config.Conn.RemoveStatusListener(back)
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-back:
			if !open {
				return
			}
			s.fetches.Refresh()
		}
	}
}

func (s *Service) roles() *rolewatch.Status { return s.probes.status.Load() }

// awaitReady returns when a partition can be produced to.
func (s *Service) awaitReady(ctx context.Context, id protocol.Partition) error {
	p, err := s.set.Await(ctx, id)
	if err != nil {
		return err
	}
	select {
	case <-p.Ready():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// damage returns what the logs of read-only partitions have lost.
func (s *Service) damage() map[protocol.Partition]string {
	all := make(map[protocol.Partition]string)
	for _, p := range s.set.Actors() {
		if what := p.Stats().Damage; what != "" {
			all[p.ID()] = what
		}
	}
	return all
}

// boundSubjects returns the subjects that topics are bound to.
func (s *Service) boundSubjects() (subjects []string) {
	for _, p := range s.set.Actors() {
		subjects = append(subjects, p.Topic().Subjects...)
	}
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

// Check returns why the frontend is not ready, or nil.
func (s *Service) Check(context.Context) error {
	if err := s.Err(); err != nil {
		return err
	}
	if !s.config.Conn.IsConnected() || !s.config.Requests.IsConnected() {
		return protocol.NewError(protocol.CodeUnavailable, "not connected to NATS")
	}
	if s.epoch.Number() == 0 {
		return protocol.NewError(protocol.CodeUnavailable,
			"no epoch could be taken yet, so that nothing can be produced; what is stored can be fetched. Does JetStream write?")
	}
	if err := s.roles().Unready; err != nil {
		return err
	}
	if err := s.set.Err(); err != nil {
		return err
	}
	for _, p := range s.set.Actors() {
		select {
		case <-p.Ready():
		default:
			return protocol.Errorf(protocol.CodeUnavailable, "the sequencer has not confirmed the epoch on partition %s", p.ID())
		}
	}
	return s.watch.Survey().Err()
}

// Done is closed when the service has ended by itself. Err returns the reason.
func (s *Service) Done() <-chan struct{} { return s.ending.Done() }

// Err returns what ended the service; nil while Done is open.
func (s *Service) Err() error { return s.ending.Err() }

// Stop ends the service in this order: no request is admitted any more; what was admitted
// is resolved and answered, for as long as ctx lives; fetches end; actors end. It closes
// neither the connection nor the telemetry.
func (s *Service) Stop(ctx context.Context) error {
	errs := []error{s.api.Stop()}
	s.producers.Stop()
	s.produce.StopAdmission(s.set.Actors())
	if s.Err() == nil {
		select {
		case <-s.produce.Drained():
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("%d batches were not resolved in time: %w", s.produce.Counts().Batches, ctx.Err()))
		}
	}
	s.stopWatch()
	s.wait.Wait()
	errs = append(errs, s.fetches.Stop(ctx))
	s.set.Stop()
	s.produce.Close()
	for _, sub := range append(s.subs, s.probes.sub) {
		errs = append(errs, transport.Unsubscribe(sub))
	}
	errs = append(errs, s.unobserve(), s.wire.Flush(time.Second))
	return errors.Join(errs...)
}
