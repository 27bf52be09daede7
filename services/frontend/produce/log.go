package produce

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/supervisor"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

// mailboxSize bounds the internal messages that wait for a log; each carries many items. The
// requests that wait are bounded by the admission.
const mailboxSize = 4096

// log is the actor of one log. Its goroutine owns the cores of all partitions of the log, and
// everything here but the mailbox.
type log struct {
	number  uint16
	service *Service
	mailbox *actor.Mailbox[core.Event]
	actor.Routine

	core       *core.Log
	partitions map[protocol.Partition]*Partition
	stagers    *core.Stagers  // that the core knows; nil before its first turn
	work       sync.WaitGroup // for what waits for NATS
}

// Events of the shell, besides those of the core.
type (
	// committed is a Committed message with its decoded entry.
	committed struct {
		core.CommittedEntry
		message messages.Committed
	}
	// added is a partition that starts.
	added struct{ partition *Partition }
	// removed is a partition that has ended.
	removed struct{ partition *Partition }
)

// startLog starts the actor of a log.
func (s *Service) startLog(number uint16) *log {
	l := &log{
		number: number, service: s, mailbox: actor.NewMailbox[core.Event](mailboxSize),
		core: core.NewLog(0, s.config.Times), partitions: make(map[protocol.Partition]*Partition),
	}
	l.Go(l.run)
	return l
}

// run serves the partitions until ctx ends or a younger frontend exists.
func (l *log) run(ctx context.Context) {
	defer l.work.Wait()
	defer l.End(supervisor.ErrStopped)
	config := &l.service.config
	l.work.Go(func() { l.awaitEpoch(ctx) })
	before := time.Now() // of the last turn
	l.mailbox.Run(ctx, config.Times.Heartbeat, func(now time.Time, events []core.Event) bool {
		if now.Sub(before) > stillBeats*config.Times.Heartbeat {
			config.Epoch.check(ctx)
		}
		before = now
		if l.service.replaced() {
			return false
		}
		l.step(ctx, now, events)
		gather(ctx, len(events))
		return true
	})
	l.end(ctx)
}

// stillBeats is the number of heartbeats without a turn after which the process may have been
// suspended. A younger frontend may exist by then, and have answered later requests of the same
// producers, so the epoch is checked before anything that has waited is answered.
const stillBeats = 2

// awaitEpoch gives the log the first epoch of the frontend.
func (l *log) awaitEpoch(ctx context.Context) {
	epoch := l.service.config.Epoch
	select {
	case <-epoch.claimed:
		_ = l.mailbox.Put(ctx, core.EpochTaken{Epoch: epoch.Number()})
	case <-ctx.Done():
	}
}

// end ends the partitions that are left, if a younger frontend exists. The mailbox is closed.
func (l *log) end(ctx context.Context) {
	left := make([]*Partition, 0, len(l.partitions))
	events := make([]core.Event, 0, len(l.partitions))
	for _, p := range l.partitions {
		left = append(left, p)
		events = append(events, p.ending(nil))
	}
	l.step(ctx, time.Now(), append(events, l.mailbox.Rest()...))
	for _, p := range left {
		l.work.Go(func() { p.release(p.ending(nil).Refusal()) })
	}
}

// step steps the core and executes its effects. Fetches receive the committed entries last: by
// then the payloads of the answered batches are in their cache.
func (l *log) step(ctx context.Context, now time.Time, events []core.Event) {
	config := &l.service.config
	var shown []committed
	var gone []*Partition
	for i, e := range events {
		switch e := e.(type) {
		case committed:
			shown = append(shown, e)
			events[i] = e.CommittedEntry
		case added:
			p := e.partition
			l.partitions[p.id] = p
			events[i] = core.Added{Partition: p.id, Codec: p.Topic().Codec()}
		case removed:
			gone = append(gone, e.partition)
			events[i] = core.Removed{Partition: e.partition.id}
		}
	}
	if live := config.Stagers(); live != l.stagers {
		l.stagers = live
		events = append([]core.Event{*live}, events...)
	}
	l.core.AllowInline(config.Inline())
	fx := l.core.Step(now, events)
	for i := range fx.Turned {
		l.turned(&fx.Turned[i])
	}
	config.Wire.Send(fx.Send)
	l.service.answer(fx.Answers)
	l.open(fx.Ready)
	for _, c := range shown {
		config.Fetches.Committed(c.message, c.Entry)
	}
	if fx.TakeEpoch != 0 {
		l.work.Go(func() { l.takeEpoch(ctx, fx.TakeEpoch) })
	}
	for _, p := range gone {
		delete(l.partitions, p.id)
		close(p.removed)
	}
}

// turned passes on what is known of a partition after its turn.
func (l *log) turned(t *core.Turned) {
	if p := l.partitions[t.Partition]; p != nil {
		stats := t.Stats // a copy: a pointer into the turn would keep all of it in memory
		p.stats.Store(&stats)
		l.service.config.Fetches.ReadOnly(p.id, t.Stats.ReadOnly)
	}
}

// open starts admitting the requests of partitions. They are ready once the server has their
// subscriptions.
func (l *log) open(ready []protocol.Partition) {
	var opened []*Partition
	for _, id := range ready {
		if p := l.partitions[id]; p != nil && p.open() {
			opened = append(opened, p)
		}
	}
	if len(opened) == 0 {
		return
	}
	l.work.Go(func() {
		config := &l.service.config
		if err := config.Requests.Flush(time.Second); err != nil {
			config.Logger.Warn("the server has not confirmed subscriptions yet", zap.Int("partitions", len(opened)), zap.Error(err))
		}
		for _, p := range opened {
			close(p.ready)
		}
	})
}

const (
	// busyTurn is the number of events from which on a turn counts as busy.
	busyTurn = 4
	// gatherTime is how long the turn after a busy one waits for more events. Each turn costs
	// a message and a turn of each service after this one, so larger turns raise throughput.
	gatherTime = 500 * time.Microsecond
)

// gather waits for more events after a busy turn. A single request never waits.
func gather(ctx context.Context, events int) {
	if events < busyTurn {
		return
	}
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// takeEpoch takes an epoch above the one that has fenced a partition, and retries until it
// succeeds, a younger frontend exists or the actor ends. Meanwhile the other partitions of the log
// are served.
func (l *log) takeEpoch(ctx context.Context, above uint64) {
	for {
		next, err := l.service.config.Epoch.raise(ctx, above)
		switch {
		case err == nil:
			_ = l.mailbox.Put(ctx, core.EpochTaken{Epoch: next})
			return
		case errors.Is(err, ownership.ErrReplaced), ctx.Err() != nil:
			return // the next turn ends the actor
		}
		l.service.config.Logger.Error("no new frontend epoch could be taken; retrying", zap.Uint16("log", l.number), zap.Error(err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}
