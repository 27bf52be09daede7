package sequencer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/supervisor"
	"laneway.dev/services/sequencer/core"
)

// mailboxSize bounds the messages that wait for a log; each carries many items.
const mailboxSize = 4096

// log is the actor of one log. The core belongs to its goroutine.
type log struct {
	actor.Routine

	number  uint16
	service *Service
	mailbox *actor.Mailbox[core.Event]
	spans   spans
	stats   atomic.Pointer[core.Stats]
	work    sync.WaitGroup // the goroutines that take an epoch
}

// startLog starts the actor of a log.
func (s *Service) startLog(number uint16) *log {
	l := &log{
		number: number, service: s, mailbox: actor.NewMailbox[core.Event](mailboxSize), spans: newSpans(s.config.Telemetry),
	}
	l.Go(l.run)
	return l
}

func (l *log) put(ctx context.Context, e core.Event) {
	// An error means that the actor is ending. The heartbeat of the lanes repairs the loss.
	_ = l.mailbox.Put(ctx, e)
}

// run is the actor's goroutine.
func (l *log) run(ctx context.Context) {
	defer l.work.Wait()
	defer l.End(supervisor.ErrStopped)
	c := core.NewLog(l.service.epoch.Epoch(), l.service.config.Heartbeat)
	if l.service.Err() != nil {
		l.mailbox.Close()
		return // replaced before this log began
	}
	l.mailbox.Run(ctx, l.service.config.Heartbeat, func(now time.Time, events []core.Event) bool {
		fx := c.Step(now, events)
		stats := c.Stats()
		l.stats.Store(&stats)         // whoever has a result finds it counted
		l.spans.released(fx.Released) // before their trace contexts leave
		l.service.Wire.Send(fx.Send)
		if fx.TakeEpoch != 0 {
			l.work.Go(func() { l.takeEpoch(ctx, fx.TakeEpoch) })
		}
		return !fx.Ended
	})
}

// takeEpoch takes an epoch above a known one, retries until it succeeds, and passes the epoch
// to the cores of all logs.
func (l *log) takeEpoch(ctx context.Context, above uint64) {
	log := l.service.config.Logger.With(zap.Uint16("log", l.number), zap.Uint64("known", above))
	for {
		attempt, cancel := context.WithTimeout(ctx, epochTime)
		next, err := l.service.epoch.Raise(attempt, above)
		cancel()
		switch {
		case err == nil:
			log.Warn("a log or another service knows a higher epoch; took one above it", zap.Uint64("epoch", next))
			l.service.tellAll(ctx, core.EpochTaken{Epoch: next})
			return
		case l.service.endIfReplaced(ctx, err), ctx.Err() != nil:
			return
		}
		log.Warn("no epoch above the known one could be taken; trying again", zap.Error(err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(epochPause):
		}
	}
}

const (
	// epochTime bounds one attempt to take an epoch: JetStream may have no leader.
	epochTime  = 5 * time.Second
	epochPause = time.Second
)
