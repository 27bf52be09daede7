// Package replicator runs the owners of the partitions' logs over NATS. What they decide
// is in its package core; this one receives and sends messages, reads and appends to
// JetStream streams, and stores snapshots and marks.
//
// Any number of replicators share the logs. For each log that this instance owns there is an actor with all
// partitions of the log, which package tenure begins and ends.
package replicator

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/generation"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/membership"
	"laneway.dev/internal/service"
	"laneway.dev/internal/snapshots"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/tenure"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

const role = "replicator"

// entryShare is the part of NATS' max_payload that the batches of an entry may take. An entry that
// is too large could never be appended, and its size is known only roughly before that. The
// message that tells frontends of the entry is a little larger.
const entryShare = 4

// Config is what a replicator needs. Zero times take their defaults.
type Config struct {
	service.Config
	AppendTimeout time.Duration // after which an append is settled by reading the log; default 2 s
	// SnapshotEntries is how many entries of a log are appended from one snapshot to
	// the next; default 10,000.
	SnapshotEntries uint64
	// ArchiveBytes is how many bytes of payload are archived at a time; 0 turns archiving off.
	ArchiveBytes int64
	ArchiveAge   time.Duration // after which a batch is archived anyway; default 10 min
	// Membership says who the instance is. The service fills in the rest.
	Membership membership.Config
}

// Service is a running replicator. It is safe for concurrent use.
type Service struct {
	*service.Base
	config     Config
	settings   core.Settings
	js         jetstream.JetStream
	registry   *topics.Registry
	snapshots  *snapshots.Store
	marks      *marks.Store
	set        *supervisor.Set[*partition]
	tenures    *tenure.Logs[*work]
	generation *generation.Follower
	behind     *behindLogs
	scrubs     chan struct{} // held by the partition that is scrubbed
	recoveries chan struct{} // of maxRecovering

	mu   sync.Mutex
	logs map[uint16]*log // those with partitions, now or before
}

// Start serves the logs that the instance is given. ctx bounds only the start, which waits for
// JetStream.
//
// Batches that were released to a replicator and are not in the log when it stops are
// released again to the next one. Stop lets the owners write exact marks, until its context
// ends.
func Start(ctx context.Context, config Config) (*Service, error) {
	config.AppendTimeout = cmp.Or(config.AppendTimeout, 2*time.Second)
	s := &Service{
		Base: service.New(role, config.Config), config: config, settings: core.DefaultSettings(""), logs: make(map[uint16]*log),
		scrubs: make(chan struct{}, 1), recoveries: make(chan struct{}, maxRecovering),
	}
	s.settings.SnapshotEvery = cmp.Or(config.SnapshotEntries, s.settings.SnapshotEvery)
	s.settings.EntryBytes = min(s.settings.EntryBytes, int(config.Conn.MaxPayload()/entryShare))
	s.settings.ArchiveBytes = config.ArchiveBytes
	s.settings.ArchiveAge = cmp.Or(config.ArchiveAge, s.settings.ArchiveAge)
	if config.ArchiveBytes > 0 {
		s.Wire.AnswerProbesWith(messages.ProbeArchives)
	}
	if err := s.start(ctx); err != nil {
		return nil, s.Abort(err)
	}
	config.Logger.Info("replicator is running")
	return s, nil
}

func (s *Service) start(ctx context.Context) (err error) {
	if s.js, err = jetstream.New(s.config.Conn); err != nil {
		return err
	}
	m := &s.config.Membership
	m.Conn, m.JS, m.Logger, m.Role = s.config.Conn, s.js, s.config.Logger, role
	s.generation = generation.NewFollower(s.config.Conn, s.js, 0)
	if s.registry, err = topics.Open(ctx, s.config.Conn, s.js); err != nil {
		return err
	}
	if s.snapshots, err = snapshots.Open(ctx, s.config.Conn, s.js); err != nil {
		return err
	}
	s.marks = marks.New(s.config.Conn, s.js)
	s.behind = &behindLogs{conn: s.config.Conn, log: s.config.Logger}
	if err := s.behind.start(ctx); err != nil {
		return err
	}
	s.tenures = tenure.New[*work](s.registry, *m, stopTime)
	if s.set, err = supervisor.Start(ctx, s.registry, s.config.Logger, s.partition); err != nil {
		return err
	}
	s.OnStop(func(context.Context) error { s.set.Stop(); return nil })
	if err := s.Observe(readings, s.values); err != nil {
		return err
	}
	s.OnStatus(nats.RECONNECTING, s.interrupt)
	s.Go(func(ctx context.Context) { s.generation.Run(ctx, s.config.Logger, nil) })
	s.Go(s.behind.run)
	// A probe asks whether there is a replicator at all, and the transport answers it.
	if _, err = s.Subscribe(ctx, messages.ReplicatorProbe, "", func(messages.Message) {}); err != nil {
		return err
	}
	started, err := s.config.Conn.Subscribe(messages.ArchiverStarted, func(*nats.Msg) { s.archiverStarted() })
	if err != nil {
		return err
	}
	s.OnStop(func(context.Context) error { return transport.Unsubscribe(started) })
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

// archiverStarted tells the owners that an archiver has started. If the mailbox of a log is full, its
// owners miss that, and send their jobs again some seconds later.
func (s *Service) archiverStarted() {
	for _, l := range s.all() {
		l.place.Do(func(w *work, owned bool) {
			if owned {
				_ = w.mailbox.Offer(core.ArchiverStarted{})
			}
		})
	}
}

// interrupt ends the operations that wait for an answer of the server, when the connection is
// lost: the answers cannot arrive then.
func (s *Service) interrupt() {
	for _, p := range s.set.Actors() {
		if o := p.owner.Load(); o != nil {
			o.disconnected()
		}
	}
}

// Check returns why the replicator is not ready, or nil.
func (s *Service) Check(ctx context.Context) error {
	if err := s.Base.Check(ctx); err != nil {
		return err
	}
	if err := s.tenures.Check(); err != nil {
		return err
	}
	if err := s.set.Err(); err != nil {
		return err
	}
	return s.set.Check((*partition).check)
}
