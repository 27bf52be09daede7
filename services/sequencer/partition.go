package sequencer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/sequencer/core"
)

// mailboxSize bounds the messages that wait for a partition; each carries many items.
const mailboxSize = 4096

// partition is the actor of one partition. The core belongs to its goroutine.
type partition struct {
	id      protocol.Partition
	service *Service
	mailbox *actor.Mailbox[core.Event]
	spans   spans
	stats   atomic.Pointer[core.Stats]

	work sync.WaitGroup // the goroutines that take an epoch
}

func (s *Service) partition(_ protocol.Topic, id protocol.Partition) *partition {
	return &partition{
		id: id, service: s, mailbox: actor.NewMailbox[core.Event](mailboxSize), spans: newSpans(s.config.Telemetry, id),
	}
}

// Receive hands a message to the actor.
func (p *partition) Receive(ctx context.Context, m messages.Message) { p.put(ctx, m) }

func (p *partition) put(ctx context.Context, e core.Event) {
	// An error means that the actor is ending. The heartbeat of the lanes repairs the loss.
	_ = p.mailbox.Put(ctx, e)
}

// Configure implements supervisor.Actor. Nothing that can be updated concerns a sequencer.
func (*partition) Configure(context.Context, protocol.Topic) {}

// Run is the actor's goroutine.
func (p *partition) Run(ctx context.Context) {
	defer p.work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := core.NewCore(p.id, p.service.epoch.Epoch(), p.service.config.Heartbeat)
	if p.service.Err() != nil {
		return // replaced before this partition began
	}
	p.mailbox.Run(ctx, p.service.config.Heartbeat, func(now time.Time, events []core.Event) bool {
		fx := c.Step(now, events)
		stats := c.Stats()
		p.stats.Store(&stats)         // whoever has a result finds it counted
		p.spans.released(fx.Released) // before their trace contexts leave
		p.service.Wire.Send(fx.Send)
		if fx.TakeEpoch != 0 {
			p.work.Go(func() { p.takeEpoch(ctx, fx.TakeEpoch) })
		}
		return !fx.Ended
	})
}

// takeEpoch takes an epoch above a known one, retries until it succeeds, and passes the epoch
// to the cores of all partitions.
func (p *partition) takeEpoch(ctx context.Context, above uint64) {
	log := p.service.config.Logger.With(zap.Stringer("partition", p.id), zap.Uint64("known", above))
	for {
		attempt, cancel := context.WithTimeout(ctx, epochTime)
		next, err := p.service.epoch.Raise(attempt, above)
		cancel()
		switch {
		case err == nil:
			log.Warn("a log or another service knows a higher epoch; took one above it", zap.Uint64("epoch", next))
			p.service.tellAll(ctx, core.EpochTaken{Epoch: next})
			return
		case p.service.endIfReplaced(ctx, err), ctx.Err() != nil:
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
