// Package frontend is the service that clients send requests to. It answers produce requests
// and fetches, and serves the APIs of topics and producers.
//
// This package wires its parts together, starts and stops them, and reports whether they
// are ready. Package produce handles batches, topics and producers serve the APIs, fetch
// serves fetches, and the decisions are in core.
package frontend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/measured"
	"laneway.dev/internal/producerregistry"
	"laneway.dev/internal/service"
	"laneway.dev/internal/supervisor"
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
	service.Config
	// Requests is the connection on which produce requests arrive; default Conn. With a
	// separate one, neither slow clients nor a flood of requests delay other messages.
	Requests *nats.Conn
	Store    objectstore.Store
	Times    core.Times // default: heartbeat 200 ms, stage timeout 2 s, deadline 30 s
	Limits   produce.Limits
	// InlineBytes is the largest batch frame that may travel in the log instead of an object; 0
	// turns that off. None does while replicators archive nothing.
	InlineBytes int64
	CacheBytes  int64 // payloads kept in memory for readers; default 64 MiB
	MaxFetches  int   // open fetches; default 1024
	// Logs is the number of logs of a new cluster; 0 stands for the default. A frontend does not start if
	// the cluster has another one.
	Logs int
}

func (c Config) orDefaults() Config {
	c.Requests = cmp.Or(c.Requests, c.Conn)
	c.Times.Heartbeat = cmp.Or(c.Times.Heartbeat, 200*time.Millisecond)
	c.Times.StageTimeout = cmp.Or(c.Times.StageTimeout, 2*time.Second)
	c.Times.Deadline = cmp.Or(c.Times.Deadline, 30*time.Second)
	c.CacheBytes = cmp.Or(c.CacheBytes, 64<<20)
	c.MaxFetches = cmp.Or(c.MaxFetches, 1024)
	return c
}

// Service is a running frontend. It is safe for concurrent use.
type Service struct {
	*service.Base
	config    Config
	requested *transport.Connection // of Requests
	registry  *topics.Registry
	fetches   *fetch.Server
	epoch     *produce.Epoch
	produce   *produce.Service
	set       *supervisor.Set[*produce.Partition]
	watch     *topicapi.Watch
	probes    *probes
	stagers   *stagers
	api       *api.Server
	producers *producers.API
	asker     uint64 // drawn by chance: where replicators answer to questions
	errors    errorCounter
}

// Start takes an epoch and serves every partition and the APIs. ctx bounds only the
// start, which waits for JetStream. If JetStream has stopped writing, Start returns without
// an epoch, and the frontend serves only fetches until it can take one.
func Start(ctx context.Context, config Config) (*Service, error) {
	config = config.orDefaults()
	if config.Times.Deadline > messages.MaxDeadline {
		return nil, fmt.Errorf("start frontend: a deadline of %s is longer than %s", config.Times.Deadline, messages.MaxDeadline)
	}
	s := &Service{Base: service.New(role, config.Config), config: config, asker: rand.Uint64()}
	if s.requested = s.Wire; config.Requests != config.Conn {
		s.requested = transport.NewConnection(config.Requests, config.Logger)
	}
	if err := s.start(ctx); err != nil {
		return nil, s.Abort(err)
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
	if _, err = s.registry.DecideLogs(ctx, s.config.Logs); err != nil {
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
	s.OnStop(func(context.Context) error { return transport.Unsubscribe(s.probes.sub) })
	if s.stagers, err = newStagers(s.config.Conn, s.config.Logger); err != nil {
		return err
	}
	s.OnStop(func(context.Context) error { return transport.Unsubscribe(s.stagers.sub) })
	store, err := measured.New(s.config.Store, s.config.Telemetry.Meter(role), "laneway.frontend")
	if err != nil {
		return err
	}
	s.build(js, named, store)
	s.OnStop(func(context.Context) error { s.produce.Close(); return nil })
	if s.set, err = supervisor.Start(ctx, s.registry, s.config.Logger, s.produce.Partition); err != nil {
		return err
	}
	s.OnStop(func(context.Context) error { s.set.Stop(); return nil })
	s.OnStop(s.fetches.Stop)
	return s.run(ctx, js)
}

// build makes the parts of the service.
func (s *Service) build(js jetstream.JetStream, named *producerregistry.Registry, store objectstore.Store) {
	log := s.config.Logger
	s.fetches = fetch.New(fetch.Config{
		Conn: s.config.Conn, JS: js, Store: store, Logger: log,
		CacheBytes: s.config.CacheBytes, MaxFetches: s.config.MaxFetches,
		Failed: func(code protocol.Code) { s.errors.add(kindFetch, code) }, Gone: s.registry.Gone,
	})
	s.epoch = produce.NewEpoch(produce.EpochConfig{JS: js, Logger: log, Subscribe: s.subscribe, Ending: s.Ending})
	s.produce = produce.New(produce.Config{
		Conn: s.config.Conn, Wire: s.Wire, Requests: s.requested, Logger: log, Telemetry: s.config.Telemetry,
		Times: s.config.Times, Limits: s.config.Limits, Inline: s.inline, Fetches: s.fetches, Epoch: s.epoch, Ending: s.Ending,
		Roles: s.roles, Stagers: s.stagers.live.Load, Failed: func(code protocol.Code) { s.errors.add(kindProduce, code) },
	})
	s.watch = topicapi.NewWatch(s.registry, log, s.boundSubjects)
	s.producers = producers.New(producers.Config{
		Wire: s.Wire, Topics: s.registry, Registry: named,
		Heartbeat: s.config.Times.Heartbeat, Asker: s.asker, Damage: s.damage,
	})
}

// inlineShare is the part of NATS' max_payload that an inline batch may take. The messages and
// entries that have it have other parts as well.
const inlineShare = 8

// inline returns the largest batch frame that may travel in the log now. Without archiving, the log
// would keep it forever.
func (s *Service) inline() int64 {
	if !s.roles().Archives {
		return 0
	}
	return min(s.config.InlineBytes, s.config.Conn.MaxPayload()/inlineShare)
}

// warnInline logs if NATS' max_payload makes inline batches smaller than is configured.
func (s *Service) warnInline() {
	if most := s.config.Conn.MaxPayload() / inlineShare; s.config.InlineBytes > most {
		s.config.Logger.Warn("--inline-bytes is above an eighth of NATS' max_payload, so only smaller batches travel in the log",
			zap.Int64("inline bytes", s.config.InlineBytes), zap.Int64("in effect", most))
	}
}

// run starts to receive.
func (s *Service) run(ctx context.Context, js jetstream.JetStream) error {
	for _, subject := range []string{messages.CommittedWildcard, messages.AskerSubject(s.asker)} {
		if err := s.subscribe(ctx, subject); err != nil {
			return err
		}
	}
	s.warnInline()
	s.Go(s.probes.run)
	s.Go(s.stagers.run)
	claim := make(chan error, 1)
	s.Go(func(ctx context.Context) { claim <- s.epoch.Claim(ctx) })
	if err := s.epoch.Await(ctx, claim); err != nil {
		return err
	}
	if err := s.Observe(slices.Concat(readings, roleReadings()), s.values); err != nil {
		return err
	}
	// Fetches look up the ends of the logs after a disconnection, because Committed messages
	// may have been lost.
	s.OnStatus(nats.CONNECTED, s.fetches.Refresh)
	s.Go(s.watch.Run)
	return s.serveAPIs(ctx, js)
}

func (s *Service) serveAPIs(ctx context.Context, js jetstream.JetStream) (err error) {
	if s.api, err = api.NewServer(s.config.Conn, s.config.Logger, func(kind api.Kind, code protocol.Code) { s.errors.add(string(kind), code) }); err != nil {
		return err
	}
	s.OnStop(func(context.Context) error { return s.api.Stop() })
	err = topicapi.Serve(topicapi.Config{
		Conn: s.config.Conn, JS: js, Server: s.api, Registry: s.registry, Watch: s.watch, Ready: s.awaitReady, Updated: s.awaitUpdated, Damage: s.damage,
		Segments: s.fetches.Segments,
	})
	if err == nil {
		err = s.producers.Serve(s.api)
	}
	if err != nil {
		return err
	}
	return s.Flush(ctx)
}

// subscribe receives the internal messages to a subject.
func (s *Service) subscribe(ctx context.Context, subject string) error {
	_, err := s.Subscribe(ctx, subject, "", s.deliver)
	return err
}

func (s *Service) deliver(m messages.Message) {
	if !s.producers.Receive(m) {
		s.set.Deliver(m)
	}
}

func (s *Service) roles() *rolewatch.Status { return s.probes.status.Load() }

// awaitReady returns when a partition admits requests.
func (s *Service) awaitReady(ctx context.Context, id protocol.Partition) error {
	p, err := s.set.Await(ctx, id, 0)
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

// awaitUpdated returns when a revision of its topic, or a later one, is in force in a partition.
func (s *Service) awaitUpdated(ctx context.Context, id protocol.Partition, revision uint64) error {
	_, err := s.set.Await(ctx, id, revision)
	return err
}

// damage returns the damage of the read-only partitions.
func (s *Service) damage() map[protocol.Partition]messages.ReadOnly {
	all := make(map[protocol.Partition]messages.ReadOnly)
	for _, p := range s.set.Actors() {
		if what := p.Stats().ReadOnly; what.Damage != "" {
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
func (s *Service) Check(ctx context.Context) error {
	if err := s.Base.Check(ctx); err != nil {
		return err
	}
	if !s.config.Requests.IsConnected() {
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
	if err := s.set.Check(admits); err != nil {
		return err
	}
	return s.watch.Survey().Err()
}

// admits returns why a partition admits no requests, or nil.
func admits(p *produce.Partition) error {
	select {
	case <-p.Ready():
		return nil
	default:
		return protocol.Errorf(protocol.CodeUnavailable, "the sequencer has not confirmed the epoch on partition %s", p.ID())
	}
}

// Stop ends the service in this order: it stops admitting requests; it waits until all
// admitted ones are answered, or ctx ends; it ends the fetches; it ends the actors. It
// closes neither the connection nor the telemetry.
func (s *Service) Stop(ctx context.Context) error {
	return errors.Join(s.drain(ctx), s.Base.Stop(ctx))
}

// drain stops admitting requests, and returns when all admitted ones are answered. It runs
// before the registered steps of the stop. One of these steps ends the subscription to the
// epoch's subject, and the answers depend on messages that arrive there.
func (s *Service) drain(ctx context.Context) error {
	err := s.api.Stop()
	s.produce.StopAdmission(s.set.Actors())
	if s.Err() != nil {
		return err // replaced: nothing is answered
	}
	select {
	case <-s.produce.Drained():
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("%d batches were not resolved in time: %w", s.produce.Counts().Batches, ctx.Err()))
	}
}
