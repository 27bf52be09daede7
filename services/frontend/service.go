package frontend

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/producerregistry"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/fetch"
)

const role = "frontend"

// Config is what a frontend needs. Zero values take their defaults.
type Config struct {
	Conn *nats.Conn
	// Requests is the connection on which produce requests arrive; default Conn. With
	// one of its own, neither answers that a slow client holds up nor a flood of
	// requests delay what the other one carries.
	Requests   *nats.Conn
	Logger     *zap.Logger
	Telemetry  *telemetry.Telemetry
	Store      objectstore.Store
	Times      Times // default: heartbeat 200 ms, stage timeout 2 s, deadline 30 s
	Limits     Limits
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
	c.Limits = c.Limits.orDefaults()
	return c
}

// Service is a running frontend. It is safe for concurrent use.
type Service struct {
	config    Config
	js        jetstream.JetStream
	wire      *transport.Connection
	requested *transport.Connection // of Requests
	registry  *topics.Registry
	producers *producerregistry.Registry
	fetches   *fetch.Server
	admission *admission
	backlog   *backlogGuard
	set       *supervisor.Set[*partition]
	api       api
	started   chan struct{} // closed when set is there
	ending    *actor.Ending
	unobserve func() error

	epoch   atomic.Pointer[ownership.Holder] // nil before one is taken
	claimed chan struct{}                    // closed when one is
	closing atomic.Bool
	refused atomic.Uint64   // requests that were answered before they got a ticket
	unsent  atomic.Uint64   // answers that could not be sent
	losing  transport.Burst // of those
	errors  errorCounter

	findings atomic.Pointer[findings] // what is wrong beside the service
	probes   *probes
	roles    atomic.Pointer[roleStatus] // what the probes have found

	questions atomic.Uint64 // numbers what is asked of replicators
	fences    asked[fenceKey, messages.ProducerFenced]
	lists     asked[uint64, messages.Producers]
	requests  requests // of the producer API

	mu   sync.Mutex // held while an epoch is claimed
	subs []*nats.Subscription

	wait      sync.WaitGroup // the goroutines that watch the connection and the epoch
	stopWatch context.CancelFunc
}

// Start takes an epoch and serves every partition and the topic API. ctx
// bounds only the start, which waits for JetStream. While JetStream does not write, it
// returns without an epoch: then only fetches are served, until one can be taken.
func Start(ctx context.Context, config Config) (*Service, error) {
	config = config.orDefaults()
	if config.Times.Deadline > messages.MaxDeadline {
		return nil, fmt.Errorf("start frontend: a deadline of %s is longer than %s", config.Times.Deadline, messages.MaxDeadline)
	}
	s := &Service{
		config: config, wire: transport.NewConnection(config.Conn, config.Logger),
		admission: newAdmission(config.Limits), started: make(chan struct{}), claimed: make(chan struct{}), ending: actor.NewEnding(),
	}
	if s.requested = s.wire; config.Requests != config.Conn {
		s.requested = transport.NewConnection(config.Requests, config.Logger)
	}
	s.backlog = newBacklogGuard(s.requested)
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start frontend: %w", err)
	}
	return s, nil
}

func (s *Service) start(ctx context.Context) (err error) {
	s.findings.Store(&findings{})
	if s.js, err = jetstream.New(s.config.Conn); err != nil {
		return err
	}
	if s.registry, err = topics.Open(ctx, s.config.Conn, s.js); err != nil {
		return err
	}
	if s.producers, err = producerregistry.Open(ctx, s.config.Conn, s.js); err != nil {
		return err
	}
	if s.errors, err = newErrorCounter(s.config.Telemetry); err != nil {
		return err
	}
	s.fetches = fetch.New(fetch.Config{
		Conn: s.config.Conn, JS: s.js, Store: s.config.Store, Logger: s.config.Logger,
		CacheBytes: s.config.CacheBytes, MaxFetches: s.config.MaxFetches,
		Failed: func(code protocol.Code) { s.errors.add(kindFetch, code) }, Gone: s.registry.Gone,
	})
	if s.probes, err = newProbes(s); err != nil {
		return err
	}
	if s.set, err = supervisor.Start(ctx, s.registry, s.config.Logger, s.partition); err != nil {
		return err
	}
	close(s.started)
	if err := s.subscribe(messages.CommittedWildcard); err != nil {
		s.set.Stop()
		return err
	}
	watch, stopWatch := context.WithCancel(context.Background())
	s.stopWatch = stopWatch
	s.wait.Go(func() { s.probes.run(watch) })
	if err := s.await(ctx, watch); err != nil {
		stopWatch()
		s.wait.Wait()
		s.set.Stop()
		return err
	}
	if err := s.serveAPI(); err != nil {
		stopWatch()
		s.wait.Wait()
		s.set.Stop()
		return err
	}
	if s.unobserve, err = s.observe(); err != nil {
		stopWatch()
		s.wait.Wait()
		s.set.Stop()
		return err
	}
	s.wait.Go(func() { s.watchConnection(watch) })
	s.watchOthers(watch)
	return nil
}

func (s *Service) subscribe(subject string) error {
	sub, err := s.wire.Subscribe(subject, "", s.deliver)
	if err != nil {
		return err
	}
	s.subs = append(s.subs, sub)
	return s.wire.Flush(5 * time.Second)
}

// fenced is told by a partition that a higher epoch of this role is known. It
// returns a new epoch for the partition, unless a younger frontend runs: then the
// service ends.
func (s *Service) fenced(ctx context.Context, highest uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.number()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	next, err := s.epoch.Load().Raise(ctx, highest)
	s.endIfReplaced(err)
	if err != nil || next == current {
		return next, err // without an error another partition was told first
	}
	s.config.Logger.Warn("a log or another service knows a higher epoch; took one above it", zap.Uint64("epoch", next))
	return next, s.subscribe(messages.FrontendSubject(next))
}

// endIfReplaced ends the service if an error says that a younger frontend runs.
func (s *Service) endIfReplaced(err error) {
	if errors.Is(err, ownership.ErrReplaced) {
		s.ending.Fail(fmt.Errorf("frontend: %w", err))
	}
}

// watchConnection shows readers the ends of the logs again after a
// disconnection, because news of commits may have been lost.
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

// Check returns why the frontend is not ready, or nil.
func (s *Service) Check(context.Context) error {
	if err := s.Err(); err != nil {
		return err
	}
	if !s.config.Conn.IsConnected() || !s.config.Requests.IsConnected() {
		return protocol.NewError(protocol.CodeUnavailable, "not connected to NATS")
	}
	if s.epoch.Load() == nil {
		return protocol.NewError(protocol.CodeUnavailable,
			"no epoch could be taken yet, so that nothing can be produced; what is stored can be fetched. Does JetStream write?")
	}
	if err := s.roles.Load().unready; err != nil {
		return err
	}
	if err := s.set.Err(); err != nil {
		return err
	}
	for _, p := range s.set.Actors() {
		select {
		case <-p.ready:
		default:
			return protocol.Errorf(protocol.CodeUnavailable, "the sequencer has not confirmed the epoch on partition %s", p.id)
		}
	}
	return s.findings.Load().survey.Err()
}

// Done is closed when the service has ended by itself; Err says why.
func (s *Service) Done() <-chan struct{} { return s.ending.Done() }

// Err returns what ended the service; nil while Done is open.
func (s *Service) Err() error { return s.ending.Err() }

// Stop ends the service in this order: no request is admitted any more; what
// was admitted is resolved and answered, for as long as ctx lives; fetches end;
// actors end. It closes neither the connection nor the telemetry.
func (s *Service) Stop(ctx context.Context) error {
	s.closing.Store(true)
	errs := []error{s.api.stop()}
	s.requests.stop()
	for _, p := range s.set.Actors() {
		p.close()
	}
	if s.Err() == nil {
		select {
		case <-s.admission.drained():
		case <-ctx.Done():
			batches, _ := s.admission.held()
			errs = append(errs, fmt.Errorf("%d batches were not resolved in time: %w", batches, ctx.Err()))
		}
	}
	s.stopWatch()
	s.wait.Wait()
	errs = append(errs, s.fetches.Stop(ctx))
	s.set.Stop()
	s.backlog.close()
	for _, sub := range append(s.subs, s.probes.sub) {
		errs = append(errs, transport.Unsubscribe(sub))
	}
	errs = append(errs, s.unobserve(), s.wire.Flush(time.Second))
	return errors.Join(errs...)
}

func (s *Service) deliver(m messages.Message) {
	if s.answered(m) {
		return
	}
	<-s.started
	s.set.Deliver(m)
}
