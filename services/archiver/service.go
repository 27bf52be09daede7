// Package archiver runs the archiver: an actor around the core that takes jobs, and the
// goroutines that work on them. A job is a part of a partition's log. Its batches are read from
// the objects of the stagers, and written into a segment.
//
// It owns the subscription to the queue group of archivers, and the work under way. An object
// that it has put is true only when the owner of the log says so in the log. Which jobs are taken
// and what a segment holds is decided in services/archiver/core.
package archiver

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/generation"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/measured"
	"laneway.dev/internal/service"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/archiver/core"
	"laneway.dev/services/archiver/sweeper"
)

const role = "archiver"

const (
	// mailboxSize bounds the messages that wait for the core.
	mailboxSize = 1024
	// abandonTimeout bounds the wait for work whose context has ended.
	abandonTimeout = 5 * time.Second
)

// Config is what an archiver needs. Zero values take their defaults.
type Config struct {
	service.Config
	Store   objectstore.Store
	Workers int // jobs at the same time; default 1
	Waiting int // jobs that may wait; default 64
	// JobBytes bounds the memory of one job; default 320 MiB. A job holds the frames of its
	// batches, once more as much if it compresses them, and 300 bytes for each batch. Requests
	// to the store that are under way take up to 64 MiB besides. A replicator sends jobs of 64 MiB
	// and one log entry, and of up to 250,000 batches, unless it is configured otherwise.
	JobBytes int64
	// Patience is how long a request to the log or to the store is repeated before a job fails;
	// default 5 min.
	Patience time.Duration
	// SweepInterval is the time between two sweeps of the store. With 0 this archiver does not sweep.
	SweepInterval time.Duration
	// SweepDeletes bounds how many objects sweeps delete in a second; default 200.
	SweepDeletes int
}

func (c Config) orDefaults() Config {
	c.Workers = cmp.Or(c.Workers, 1)
	c.Waiting = cmp.Or(c.Waiting, 64)
	c.JobBytes = cmp.Or(c.JobBytes, 320<<20)
	c.Patience = cmp.Or(c.Patience, 5*time.Minute)
	return c
}

// Service is a running archiver. It is safe for concurrent use. It never ends by itself, because
// it owns nothing that another instance could take over.
type Service struct {
	*service.Base
	config  Config
	mailbox *actor.Mailbox[core.Event]
	worker  *worker
	sub     *nats.Subscription

	turnedAway atomic.Uint64 // jobs dropped before they reached the core
	stats      atomic.Pointer[core.Stats]

	work   context.Context // of the jobs; cancelled by giveUp
	giveUp context.CancelCauseFunc
	jobs   sync.WaitGroup
	ended  chan struct{} // closed when the actor's goroutine has ended
}

// Start starts an archiver, which serves all partitions together with the other archivers. ctx
// bounds only the start, which waits for NATS.
//
// Stop cancels the work under way, because a job leaves nothing behind that has to be finished:
// the owners of the jobs are told, and send them to another archiver.
func Start(ctx context.Context, config Config) (*Service, error) {
	config = config.orDefaults()
	s := &Service{
		Base: service.New(role, config.Config), config: config,
		mailbox: actor.NewMailbox[core.Event](mailboxSize), ended: make(chan struct{}),
	}
	if err := s.start(ctx); err != nil {
		return nil, s.Abort(err)
	}
	config.Logger.Info("archiver is running")
	return s, nil
}

func (s *Service) start(ctx context.Context) error {
	if err := s.Observe(readings, s.values); err != nil {
		return err
	}
	store, err := measured.New(s.config.Store, s.config.Telemetry.Meter(role), "laneway.archiver")
	if err != nil {
		return err
	}
	js, err := jetstream.New(s.config.Conn)
	if err != nil {
		return err
	}
	follower, err := generation.Start(ctx, generation.Cluster{Conn: s.config.Conn, JS: js, Store: s.config.Store})
	if err != nil {
		return err
	}
	if s.worker, err = newWorker(s.config, js, store, follower); err != nil {
		return err
	}
	s.Go(func(ctx context.Context) { follower.Run(ctx, s.config.Logger, nil) })
	if err := s.sweep(js, store); err != nil {
		return err
	}
	// Jobs must outlive the context of the start.
	s.work, s.giveUp = context.WithCancelCause(context.WithoutCancel(ctx))
	go s.run()
	s.OnStop(s.finish)
	if s.sub, err = s.Subscribe(ctx, messages.ArchiveSubject, messages.ArchiverQueue, s.deliver); err != nil {
		return err
	}
	s.OnStop(s.drain)
	// A job that was sent before may have been lost: there may have been no other archiver.
	return s.config.Conn.Publish(messages.ArchiverStarted, nil)
}

// sweep starts to sweep the store.
func (s *Service) sweep(js jetstream.JetStream, store objectstore.Store) error {
	if s.config.SweepInterval <= 0 {
		return nil
	}
	sweeps := sweeper.New(sweeper.Config{
		Conn: s.config.Conn, JS: js, Store: store, Logger: s.config.Logger, Interval: s.config.SweepInterval, DeletesPerSecond: s.config.SweepDeletes,
	})
	if err := s.Observe(sweeper.Readings, sweeps.Values); err != nil {
		return err
	}
	s.Go(sweeps.Run)
	return nil
}

// deliver passes a job to the core. It never waits, because the subscription belongs to a queue
// group: while a message waits here, other archivers may be idle.
func (s *Service) deliver(m messages.Message) {
	job, ok := m.(messages.Archive)
	if ok && s.mailbox.Offer(job) != nil {
		s.turnedAway.Add(1) // its owner sends it again
	}
}

// run is the actor's goroutine: it owns the core and ends when the core has.
func (s *Service) run() {
	defer close(s.ended)
	settings := core.Settings{Workers: s.config.Workers, Waiting: s.config.Waiting, ReportEvery: messages.ReportInterval}
	c := core.NewCore(settings)
	s.mailbox.Run(context.Background(), settings.ReportEvery/2, func(now time.Time, events []core.Event) bool {
		s.step(c, now, events)
		return !c.Ended()
	})
	s.step(c, time.Now(), s.mailbox.Rest()) // answers jobs that arrived last
}

func (s *Service) step(c *core.Core, now time.Time, events []core.Event) {
	fx := c.Step(now, events)
	stats := c.Stats()
	s.stats.Store(&stats) // whoever has an answer finds it counted
	for _, job := range fx.Start {
		s.jobs.Go(func() {
			// The core does not end before it has every result, so Put returns no error.
			_ = s.mailbox.Put(context.Background(), s.worker.do(s.work, job))
		})
	}
	s.Wire.Send(fx.Send)
}

// drain returns when all jobs that NATS has delivered are in the mailbox, or ctx ends. They are
// answered by finish.
func (s *Service) drain(ctx context.Context) error {
	if ctx.Err() != nil || !s.config.Conn.IsConnected() {
		return nil
	}
	return transport.Drain(s.sub)
}

// finish cancels the work under way, and returns when each job is answered.
func (s *Service) finish(context.Context) error {
	s.giveUp(errStopping)
	ctx, cancel := context.WithTimeout(context.Background(), abandonTimeout)
	defer cancel()
	_ = s.mailbox.Put(ctx, core.Stop{})
	select {
	case <-s.ended:
		s.jobs.Wait()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a canceled job has not ended within %v; is the object store hanging?", abandonTimeout)
	}
}

// Stats returns what happened so far.
func (s *Service) Stats() core.Stats {
	var stats core.Stats
	if t := s.stats.Load(); t != nil {
		stats = *t
	}
	stats.Dropped += s.turnedAway.Load()
	return stats
}
