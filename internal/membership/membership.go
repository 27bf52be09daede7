// Package membership keeps an instance among the members of its role, and learns which logs it owns. What
// is to be done is decided in internal/core/member; this package reads and writes the buckets LANEWAY_MEMBERS
// and LANEWAY_ASSIGNMENTS for it, and keeps the time.
package membership

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/core/assignment"
	"laneway.dev/internal/core/member"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

// Config is what a Member needs.
type Config struct {
	Conn   *nats.Conn
	JS     jetstream.JetStream
	Logger *zap.Logger
	Role   string
	// Instance is the name of the instance, without dots. Each start MUST have another one.
	Instance string
	// Process is what the names of all instances begin with that had the place of this one before, and have
	// surely ended; empty if nothing proves that.
	Process string
	Logs    int           // of the cluster; 0 for a role that owns none
	TTL     time.Duration // of the instance's key: whole seconds
	Version string        // of the binary
	// Turns reports whether the actors of the instance have taken turns lately. One that hangs is no member.
	Turns func() bool
	// Changed is called when the instance owns other logs, or owns them in other epochs, or when a log is
	// handed over to it. It MUST NOT block.
	Changed func(View)
}

// View is what an instance knows. It is immutable.
type View struct {
	Owned  []member.Owned
	Record assignment.Record
	Takers bool // whether another member may get logs
	lease  member.Lease
}

// Member is an instance that keeps its place. It is safe for concurrent use; its goroutine owns the core.
type Member struct {
	config  Config
	bucket  bucket
	mailbox *actor.Mailbox[member.Event]
	actor.Routine
	work                    sync.WaitGroup
	started                 time.Time
	view                    atomic.Pointer[View]
	renewals, looks, writes atomic.Int64 // that have failed one after the other
	core                    *member.Core
}

// mailboxSize bounds the events that wait: what actors ask for, one of each kind for a log.
const mailboxSize = 1024

// Join begins to make the instance a member, which takes as long as JetStream does not answer.
func Join(config Config) *Member {
	m := &Member{
		config:  config,
		bucket:  bucket{conn: config.Conn, js: config.JS, role: config.Role, ttl: config.TTL, logs: config.Logs > 0},
		mailbox: actor.NewMailbox[member.Event](mailboxSize), started: time.Now(),
		core: member.New(member.Settings{Instance: config.Instance, Process: config.Process, Logs: config.Logs, TTL: config.TTL}),
	}
	m.view.Store(&View{})
	m.Go(m.run)
	return m
}

// now returns the time by both clocks. Go's monotonic clock stands still while the machine is suspended.
func (m *Member) now() member.Time {
	now := time.Now()
	return member.Time{Mono: now.Sub(m.started), Wall: now.Round(0)}
}

// View returns what the instance knows.
func (m *Member) View() View { return *m.view.Load() }

// May reports whether the instance may say what does not stand in a log: that a request, which MUST have been
// received before the call, is refused or has failed.
func (m *Member) May() bool { return m.view.Load().lease.May(m.now()) }

// Err returns why the others take this instance for dead, or nil.
func (m *Member) Err() error {
	if age := m.view.Load().lease.Age(m.now()); age >= 2*m.config.TTL {
		return protocol.Errorf(protocol.CodeUnavailable, "JetStream has not renewed the key of this instance for %s, so others take it for dead", age.Round(time.Second))
	}
	return nil
}

// Ask asks for a change of what the instance owns: Raise, GiveUp, GiveAway, Keep or Drain of internal/core/member.
// The answer is a call of Changed. It waits if too much was asked for.
func (m *Member) Ask(ctx context.Context, e member.Event) error { return m.mailbox.Put(ctx, e) }

// Leave ends the membership. The instance SHOULD own nothing any more. If its key cannot be removed at once, others
// wait until it has expired.
func (m *Member) Leave(ctx context.Context) error {
	m.End(errLeft)
	m.Await()
	ctx, cancel := context.WithTimeout(ctx, m.config.TTL/3)
	defer cancel()
	return m.bucket.remove(ctx, m.config.Instance)
}

var errLeft = errors.New("the instance leaves")

// stepsPerTTL is how many steps the core has at least in each TTL.
const stepsPerTTL = 10

func (m *Member) run(ctx context.Context) {
	defer m.work.Wait()
	if m.config.Logs > 0 {
		defer m.listen()()
	}
	m.execute(ctx, m.core.Step(m.now(), nil)) // the first step need not wait for a tick
	m.mailbox.Run(ctx, m.config.TTL/stepsPerTTL, func(_ time.Time, events []member.Event) bool {
		m.execute(ctx, m.core.Step(m.now(), events))
		return true
	})
}

func (m *Member) execute(ctx context.Context, fx member.Effects) {
	v := &View{Owned: m.core.Owned(), Record: m.core.Record(), Takers: m.core.Takers(), lease: m.core.Lease()}
	m.view.Store(v)
	if fx.Renew != nil {
		m.attempt(ctx, func(ctx context.Context) member.Event { return m.renew(ctx, *fx.Renew) })
	}
	if fx.Look {
		m.attempt(ctx, m.look)
	}
	if fx.Write != nil {
		m.attempt(ctx, func(ctx context.Context) member.Event { return m.write(ctx, *fx.Write) })
	}
	if fx.Changed && m.config.Changed != nil {
		m.config.Changed(*v)
	}
}

// attempt makes a request beside the core. It ends in a third of the TTL.
func (m *Member) attempt(ctx context.Context, do func(context.Context) member.Event) {
	m.work.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, m.config.TTL/3)
		defer cancel()
		_ = m.mailbox.Add(do(ctx)) // an error means that the actor has ended
	})
}

func (m *Member) renew(ctx context.Context, r member.Renew) member.Event {
	if m.config.Turns != nil && !m.config.Turns() {
		return member.NotRenewed{}
	}
	key := storedKey{
		Rule: r.Key.Rule, Draining: r.Key.Draining, Knows: r.Key.Knows, Version: m.config.Version, Since: m.started.Unix(),
	}
	revision, err := m.bucket.renew(ctx, m.config.Instance, key, r.Expect)
	if isMissing(err) && m.bucket.create(ctx) == nil { // the first instance of all
		revision, err = m.bucket.renew(ctx, m.config.Instance, key, r.Expect)
	}
	if m.note(ctx, &m.renewals, err); err != nil {
		return member.NotRenewed{Refused: kvbucket.IsConflict(err)}
	}
	return member.Renewed{Revision: revision}
}

func (m *Member) look(ctx context.Context) member.Event {
	looked, err := m.bucket.look(ctx)
	if m.note(ctx, &m.looks, err); err != nil {
		return member.NotLooked{}
	}
	return looked
}

func (m *Member) write(ctx context.Context, w member.Write) member.Event {
	err := m.bucket.write(ctx, w.Record, w.Expect)
	if m.note(ctx, &m.writes, err); err != nil {
		return member.NotWritten{}
	}
	_ = m.config.Conn.Publish(written(m.config.Role), nil) // others look in any case
	return member.Written{}
}

// isMissing reports whether an error means that a bucket does not exist.
func isMissing(err error) bool {
	return kvbucket.IsMissing(err) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// failuresLogged is after how many failures one after the other the reason is logged.
const failuresLogged = 5

// note takes in how a request has ended. It creates the buckets that do not exist, logs why requests fail, and
// that they succeed again.
func (m *Member) note(ctx context.Context, failures *atomic.Int64, err error) {
	switch {
	case errors.Is(context.Cause(ctx), errLeft):
	case err == nil || kvbucket.IsConflict(err): // another member was first
		if failures.Swap(0) >= failuresLogged {
			m.config.Logger.Info("the buckets of members answer again")
		}
	default:
		if isMissing(err) {
			err = errors.Join(err, m.bucket.create(ctx))
		}
		if failures.Add(1) == failuresLogged {
			m.config.Logger.Warn("the buckets of members do not answer as they should, so that nobody can tell which instances there are; trying again", zap.Error(err))
		}
	}
}
