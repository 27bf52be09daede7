// Package replicator runs the owners of the partitions' logs over NATS. What they decide
// is in its package core; this one receives and sends messages, reads and appends to
// JetStream streams, and stores snapshots and marks.
package replicator

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"laneway.dev/internal/generation"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/rounds"
	"laneway.dev/internal/service"
	"laneway.dev/internal/snapshots"
	"laneway.dev/internal/supervisor"
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
	logs       *supervisor.Logs[*log]
	set        *supervisor.Set[*owner]
	started    atomic.Bool // whether the owners of the partitions that existed at the start have been built
	epoch      *ownership.Holder
	checks     *rounds.Rounds[struct{}] // of the epoch
	generation *generation.Follower
	behind     *behindLogs
	scrubs     chan struct{} // held by the partition that is scrubbed
	recoveries chan struct{} // of maxRecovering
}

// Start takes an epoch and serves every partition. ctx bounds only the start, which waits for
// JetStream.
//
// Batches that were released to a replicator and are not in the log when it stops are
// released again to the next one. Stop lets the owners write exact marks, until its context
// ends.
func Start(ctx context.Context, config Config) (*Service, error) {
	config.AppendTimeout = cmp.Or(config.AppendTimeout, 2*time.Second)
	s := &Service{
		Base: service.New(role, config.Config), config: config, settings: core.DefaultSettings(nuid.Next()),
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
	config.Logger.Info("replicator is running", zap.String("owner", s.settings.Owner), zap.Uint64("epoch", s.epoch.Epoch()))
	return s, nil
}

func (s *Service) start(ctx context.Context) (err error) {
	if s.js, err = jetstream.New(s.config.Conn); err != nil {
		return err
	}
	s.generation = generation.NewFollower(s.config.Conn, s.js, 0)
	if s.epoch, err = ownership.Hold(ctx, s.js, role); err != nil {
		return err
	}
	s.checks = rounds.New(checkTimeout, s.checkEpoch)
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
	s.logs = supervisor.NewLogs(s.startLog)
	s.OnStop(func(context.Context) error { s.logs.Stop(); return nil })
	if s.set, err = supervisor.Start(ctx, s.registry, s.config.Logger, s.owner); err != nil {
		return err
	}
	s.started.Store(true)
	s.OnStop(func(context.Context) error { s.set.Stop(); return nil })
	if err := s.Observe(readings, s.values); err != nil {
		return err
	}
	s.OnStatus(nats.RECONNECTING, s.interrupt)
	s.Go(func(ctx context.Context) { s.generation.Run(ctx, s.config.Logger, nil) })
	s.Go(s.behind.run)
	s.Go(func(ctx context.Context) { s.FailIfReplaced(s.epoch.Watch(ctx)) }) // also while nothing happens
	s.OnStop(s.stopOwners)
	started, err := s.config.Conn.Subscribe(messages.ArchiverStarted, func(*nats.Msg) { s.archiverStarted() })
	if err != nil {
		return err
	}
	s.OnStop(func(context.Context) error { return transport.Unsubscribe(started) })
	_, err = s.Subscribe(ctx, messages.ReplicatorWildcard, "", s.set.Deliver)
	return err
}

// archiverStarted tells the owners that an archiver has started. If the mailbox of a log is full, its
// owners miss that, and send their jobs again some seconds later.
func (s *Service) archiverStarted() {
	for _, l := range s.logs.All() {
		_ = l.mailbox.Offer(core.ArchiverStarted{})
	}
}

// raise takes an epoch above the given one, and retries until it succeeds. An error means
// that ctx has ended, that a younger replicator is running, or that the bucket of epochs
// cannot be read.
func (s *Service) raise(ctx context.Context, above uint64) (uint64, error) {
	return kvbucket.Retry(ctx, func(ctx context.Context) (uint64, error) {
		next, err := s.epoch.Raise(ctx, above)
		if errors.Is(err, ownership.ErrReplaced) {
			err = backoff.Permanent(err)
		}
		return next, err
	})
}

// interrupt ends the operations that wait for an answer of the server, when the connection is
// lost: the answers cannot arrive then.
func (s *Service) interrupt() {
	for _, p := range s.set.Actors() {
		p.disconnected()
	}
}

// Check returns why the replicator is not ready, or nil.
func (s *Service) Check(ctx context.Context) error {
	if err := s.Base.Check(ctx); err != nil {
		return err
	}
	if err := s.set.Err(); err != nil {
		return err
	}
	return s.set.Check((*owner).check)
}

// stopTime bounds how long owners may take to write their exact marks.
const stopTime = 5 * time.Second

// stopOwners makes the owners write exact marks, and waits until these are durable. It does not end the
// actors.
func (s *Service) stopOwners(ctx context.Context) error {
	if s.Err() != nil {
		return nil // replaced: the marks are another owner's
	}
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	for _, l := range s.logs.All() {
		_ = l.mailbox.Put(ctx, core.Stopping{}) // an error means that the actor is ending
	}
	for _, p := range s.set.Actors() {
		p.awaitStop(ctx)
	}
	return nil
}
