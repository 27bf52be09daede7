package replicator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// mailboxSize bounds the messages that wait for a log. Each has many items. The results of effects do
// not count: each partition has only a few under way.
const mailboxSize = 4096

// log is the actor of one log. Its goroutine owns the cores of all partitions of the log, and
// everything here but the mailbox. The effects of the cores that wait for JetStream run in goroutines of
// their own, and their results come back through the mailbox as events for their partitions. So no
// partition waits for another one.
type log struct {
	actor.Routine

	number  uint16
	service *Service
	mailbox *actor.Mailbox[core.Event]

	core   *core.Log
	owners map[protocol.Partition]*owner
	newest uint64             // generation that the core knows
	behind *sweepstate.Behind // that the core knows; nil if no log is behind
	epochs sync.WaitGroup     // the goroutines that take one
}

// Events of the shell, besides those of the core.
type (
	added   struct{ owner *owner }
	removed struct{ owner *owner }
)

// startLog starts the actor of a log.
func (s *Service) startLog(number uint16) *log {
	l := &log{
		number: number, service: s, mailbox: actor.NewMailbox[core.Event](mailboxSize), owners: make(map[protocol.Partition]*owner),
	}
	l.Go(l.run)
	return l
}

// run runs the actor until ctx ends or the replicator was replaced. The owners that are left then have
// no effects any more.
func (l *log) run(ctx context.Context) {
	defer l.epochs.Wait()
	defer l.End(supervisor.ErrStopped)
	settings := l.service.settings
	settings.Epoch = l.service.epoch.Epoch()
	l.core = core.NewLog(settings)
	l.mailbox.Run(ctx, settings.Heartbeat, func(now time.Time, events []core.Event) bool {
		return l.service.Err() == nil && l.step(ctx, now, events)
	})
	for _, p := range l.owners {
		p.cancel()
	}
}

// step steps the core and starts its effects. It returns false if the replicator was replaced.
func (l *log) step(ctx context.Context, now time.Time, events []core.Event) bool {
	var started, gone []*owner
	for i, e := range events {
		switch e := e.(type) {
		case added:
			started = append(started, e.owner)
			l.owners[e.owner.id] = e.owner
			events[i] = e.owner.added
		case removed:
			gone = append(gone, e.owner)
			events[i] = core.Removed{Partition: e.owner.id}
		}
	}
	turn := l.core.Step(now, append(slices.Clip(events), l.news(started)...))
	if turn.Ended != nil {
		l.service.Fail(turn.Ended)
		return false
	}
	for i := range turn.Turned {
		l.owners[turn.Turned[i].Partition].count(turn.Turned[i].Stats) // whoever has a result finds it counted
	}
	l.send(turn.Send)
	if turn.TakeEpoch != 0 {
		l.epochs.Go(func() { l.takeEpoch(ctx, turn.TakeEpoch) })
	}
	for i := range turn.Turned {
		l.owners[turn.Turned[i].Partition].do(&turn.Turned[i].Effects)
	}
	for _, p := range gone {
		delete(l.owners, p.id)
		close(p.removed)
	}
	return true
}

// news returns what the service knows and the core does not. Owners that start learn in their first turn
// whether their logs are behind.
func (l *log) news(started []*owner) (events []core.Event) {
	if newest := l.service.generation.Newest(); newest != l.newest {
		l.newest = newest
		events = append(events, core.Generation{Newest: newest})
	}
	before, now := l.behind, l.service.behind.now.Load()
	l.behind = now
	if before != now {
		for _, p := range l.owners {
			if reason := now.Damage(p.id); reason != before.Damage(p.id) {
				events = append(events, core.For{Partition: p.id, Event: core.Behind{Reason: reason}})
			}
		}
	}
	for _, p := range started {
		if reason := now.Damage(p.id); reason != "" {
			events = append(events, core.For{Partition: p.id, Event: core.Behind{Reason: reason}})
		}
	}
	return events
}

// send sends the messages of a turn. Each job is a NATS message of its own, because archivers share
// them: all of one message would come to the same archiver.
func (l *log) send(all []messages.Envelope) {
	others := all[:0]
	for i := range all {
		if all[i].Subject == messages.ArchiveSubject {
			l.service.Wire.Send(all[i : i+1])
			continue
		}
		others = append(others, all[i])
	}
	l.service.Wire.Send(others)
}

// takeEpoch takes an epoch above the given one, and passes EpochTaken or Replaced to the core. After
// any other error it passes nothing, because the actor is ending then. Meanwhile the partitions that
// are not fenced are served.
func (l *log) takeEpoch(ctx context.Context, above uint64) {
	next, err := l.service.raise(ctx, above)
	switch {
	case err == nil:
		l.service.config.Logger.Warn("a log has an epoch that is not below this replicator's, and no younger replicator is running; claiming the log with a new epoch",
			zap.Uint16("log", l.number), zap.Uint64("known", above), zap.Uint64("epoch", next))
		_ = l.mailbox.Add(core.EpochTaken{Epoch: next})
	case errors.Is(err, ownership.ErrReplaced), errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")):
		_ = l.mailbox.Add(core.Replaced{Err: err})
	}
}
