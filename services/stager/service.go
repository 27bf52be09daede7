// Package stager runs the stager: an actor around the core that gathers batches into
// objects, and the goroutines that put the objects into the store.
//
// It owns the subscriptions to the queue group of stagers and to the subject of this instance,
// the announcements that it is alive, and the puts in flight. It never
// lets the core refer to an object before the store holds it durably. Which batches are
// uploaded, retried and refused is decided in services/stager/core.
package stager

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/fault"
	"laneway.dev/internal/generation"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/objectstore/measured"
	"laneway.dev/internal/service"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/stager/core"
)

const role = "stager"

// nameLength is the length of an instance's name. Each character has 5 random bits.
const nameLength = 12

// abandonTimeout bounds the wait for puts whose context has ended.
const abandonTimeout = 5 * time.Second

// Config is what a stager needs. Zero values take their defaults.
type Config struct {
	service.Config
	Store         objectstore.Store
	Linger        time.Duration // how long an object waits for more batches; default 0: only while an upload runs
	ObjectBytes   int64         // default 4 MiB
	ObjectBatches int           // default 65,536
	Uploads       int           // at once to begin with; default 8
	MostUploads   int           // at once while the store keeps up; default Uploads
	PutsPerSecond int           // default unlimited
	Hedge         bool          // whether an object is put once more if a put is late
	MemoryBytes   int64         // for batches that are being staged; default 256 MiB
	Faults        *fault.Faults // default none
}

func (c Config) orDefaults() Config {
	c.ObjectBytes = cmp.Or(c.ObjectBytes, 4<<20)
	c.ObjectBatches = cmp.Or(c.ObjectBatches, 1<<16)
	c.Uploads = cmp.Or(c.Uploads, 8)
	c.MemoryBytes = cmp.Or(c.MemoryBytes, 256<<20)
	return c
}

func (c Config) settings() core.Settings {
	return core.Settings{
		Name: strings.ToLower(rand.Text()[:nameLength]), ReportEvery: messages.ReportInterval,
		Linger: c.Linger, ObjectBytes: c.ObjectBytes, ObjectBatches: c.ObjectBatches,
		Uploads: c.Uploads, MostUploads: c.MostUploads, MemoryBytes: c.MemoryBytes,
	}
}

// Service is a running stager. It is safe for concurrent use. It never ends by itself, because
// it owns nothing that another instance could take over.
type Service struct {
	*service.Base
	config     Config
	settings   core.Settings
	mailbox    *actor.Mailbox[core.Event]
	uploader   uploader
	generation *generation.Follower
	sub, own   *nats.Subscription // to what any stager may stage, and what this one is to stage

	inspector *inspector

	queued     atomic.Int64  // payload bytes in the mailbox, or being inspected
	turnedAway atomic.Uint64 // batches refused before they reached the core
	stats      atomic.Pointer[core.Stats]
	room       room        // belongs to the actor
	turned     atomic.Bool // the actor has taken a turn since the last announcement

	work    context.Context // of the uploads; cancelled by giveUp
	giveUp  context.CancelFunc
	uploads sync.WaitGroup
	ended   chan struct{} // closed when the actor's goroutine has ended
}

// Start starts a stager, which serves all partitions together with the other stagers. ctx
// bounds only the start, which waits for NATS.
//
// Stop uploads the batches that NATS has already delivered, and sends their results. If its
// context ends first, the batches that are not uploaded yet are refused, so that another
// stager gets them.
func Start(ctx context.Context, config Config) (*Service, error) {
	config = config.orDefaults()
	s := &Service{
		Base: service.New(role, config.Config), config: config, settings: config.settings(),
		mailbox: actor.NewMailbox[core.Event](mailboxSize), inspector: newInspector(),
		uploader: uploader{
			packer: newPacker(), faults: config.Faults, log: config.Logger, spans: newSpans(config.Telemetry),
		},
		ended: make(chan struct{}),
	}
	s.uploader.failed = func(e core.PutFailed) { _ = s.mailbox.Offer(e) } // a full mailbox needs no hint
	if config.PutsPerSecond > 0 {
		s.uploader.puts = rate.NewLimiter(rate.Limit(config.PutsPerSecond), config.PutsPerSecond)
	}
	if config.Hedge {
		s.uploader.hedge = new(core.Hedge)
	}
	if err := s.start(ctx); err != nil {
		return nil, s.Abort(err)
	}
	config.Logger.Info("stager is running")
	return s, nil
}

func (s *Service) start(ctx context.Context) (err error) {
	if err := s.Observe(readings, s.values); err != nil {
		return err
	}
	if s.uploader.store, err = measured.New(s.config.Store, s.config.Telemetry.Meter(role), "laneway.stager"); err != nil {
		return err
	}
	js, err := jetstream.New(s.config.Conn)
	if err != nil {
		return err
	}
	if s.generation, err = generation.Start(ctx, generation.Cluster{Conn: s.config.Conn, JS: js, Store: s.config.Store}); err != nil {
		return err
	}
	s.uploader.generation = s.generation.Newest
	// Uploads must outlive the context of the start.
	s.work, s.giveUp = context.WithCancel(context.WithoutCancel(ctx))
	go s.run()
	s.OnStop(s.finish)
	if s.sub, err = s.Subscribe(ctx, messages.StageSubject, messages.StagerQueue, s.deliver); err != nil {
		return err
	}
	if s.own, err = s.Subscribe(ctx, messages.StagerSubject(s.settings.Name), "", s.deliver); err != nil {
		return err
	}
	s.OnStop(s.drain)
	s.Go(func(ctx context.Context) { s.generation.Run(ctx, s.config.Logger, nil) })
	s.Go(s.announce)
	return nil
}

// drain returns when all messages that NATS has delivered are in the mailbox, or ctx ends.
func (s *Service) drain(ctx context.Context) error {
	if ctx.Err() != nil || !s.config.Conn.IsConnected() {
		return nil
	}
	return transport.Drain(s.sub, s.own)
}

// finish uploads the waiting batches, or refuses them when ctx ends.
func (s *Service) finish(ctx context.Context) error {
	s.inspector.close(ctx)
	// If the mailbox has no room until ctx ends, Abandon follows.
	_ = s.mailbox.Put(ctx, core.Drain{})
	select {
	case <-s.ended:
		s.uploads.Wait()
		s.giveUp()
		return nil
	case <-ctx.Done():
		return s.abandon()
	}
}

// abandon refuses the waiting batches and cancels the puts in flight.
func (s *Service) abandon() error {
	s.giveUp()
	ctx, cancel := context.WithTimeout(context.Background(), abandonTimeout)
	defer cancel()
	s.inspector.close(ctx)
	_ = s.mailbox.Put(ctx, core.Abandon{})
	select {
	case <-s.ended:
		s.uploads.Wait()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a canceled upload has not ended within %v; is the object store hanging?", abandonTimeout)
	}
}
