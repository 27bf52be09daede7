package produce

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/supervisor"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

// spareMailbox is the room of a mailbox beyond the admitted batches, for internal messages.
const spareMailbox = 4096

// Partition is the actor of one partition. Run is its goroutine, which owns the core.
// Everything else is safe for concurrent use.
type Partition struct {
	supervisor.Routine
	id      protocol.Partition
	stream  string // name in acknowledgements
	service *Service
	mailbox *actor.Mailbox[core.Event]
	topic   atomic.Pointer[protocol.Topic]
	known   *protocol.Topic // that the core knows
	stagers *core.Stagers   // that the core knows; nil before its first turn
	share   *share
	spans   spans
	stats   atomic.Pointer[core.Stats]
	ready   chan struct{}                  // closed when requests are admitted
	refusal atomic.Pointer[protocol.Error] // for requests that arrive after the actor has ended
	own     atomic.Uint64                  // number of lanes with a single request

	mu     sync.Mutex
	intake *intake // nil before ready and after closing
}

// committed is a Committed message with its decoded entry.
type committed struct {
	core.CommittedEntry
	message messages.Committed
}

// Partition returns the actor of a partition of a topic. Run starts it.
func (s *Service) Partition(topic protocol.Topic, id protocol.Partition) *Partition {
	if _, err := topic.FitPayload(s.config.Conn.MaxPayload()); err != nil && id.Number == 0 {
		s.config.Logger.Warn("NATS' max_payload is too small for a topic; its largest records will be rejected",
			zap.String("topic", topic.Name), zap.Error(err))
	}
	p := &Partition{
		id: id, stream: id.Stream(), service: s,
		mailbox: actor.NewMailbox[core.Event](s.admission.limits.PartitionBatches + spareMailbox),
		share:   &share{of: s.admission}, spans: newSpans(s.config.Telemetry, id), ready: make(chan struct{}),
	}
	p.topic.Store(&topic)
	return p
}

// ID returns the partition.
func (p *Partition) ID() protocol.Partition { return p.id }

// Topic returns the topic of the partition.
func (p *Partition) Topic() protocol.Topic { return *p.topic.Load() }

// Configure implements supervisor.Actor. When it returns, requests are checked and staged by
// the new topic, and the server has its subjects.
func (p *Partition) Configure(ctx context.Context, topic protocol.Topic) {
	p.topic.Store(&topic)
	p.mu.Lock()
	opened := p.intake
	p.mu.Unlock()
	if opened == nil {
		return // it will be opened with the new subjects
	}
	if err := opened.change(ctx, subjectsOf(topic, p.id)); err != nil {
		p.service.config.Logger.Error("the frontend cannot change its subscriptions to the produce subjects of the partition; restart the frontend",
			zap.Stringer("partition", p.id), zap.Error(err))
	}
}

// Ready returns a channel that is closed once requests are admitted.
func (p *Partition) Ready() <-chan struct{} { return p.ready }

// Stats returns the statistics of the partition after its last turn.
func (p *Partition) Stats() core.Stats {
	if stats := p.stats.Load(); stats != nil {
		return *stats
	}
	return core.Stats{}
}

// Receive puts a message into the mailbox. It waits for room until ctx ends, so that further
// messages wait in the NATS client.
func (p *Partition) Receive(ctx context.Context, m messages.Message) {
	var event core.Event = m
	if c, ok := m.(messages.Committed); ok {
		entry, err := messages.DecodeEntry(c.Entry)
		if err != nil {
			p.service.config.Logger.Error("a committed entry cannot be decoded", zap.Stringer("partition", p.id), zap.Error(err))
			return
		}
		event = committed{core.CommittedEntry{Partition: p.id, Entry: entry}, c}
		if p.service.config.Epoch.Number() == 0 {
			p.service.config.Fetches.Committed(c, entry) // the mailbox is not read before an epoch is taken
			return
		}
	}
	// An error means that the actor is ending. It needs no messages then.
	_ = p.mailbox.Put(ctx, event)
}

// Start implements supervisor.Actor.
func (p *Partition) Start() { p.Go(p.Run) }

// Run serves the partition until ctx ends or a younger frontend exists.
func (p *Partition) Run(ctx context.Context) {
	config := &p.service.config
	if err := config.Fetches.Open(p.Topic(), int(p.id.Number)); err != nil {
		config.Logger.Error("the partition cannot be fetched", zap.Stringer("partition", p.id), zap.Error(err))
	}
	select {
	case <-config.Epoch.claimed:
	case <-ctx.Done():
		p.mailbox.Close()
		config.Fetches.Close(p.id, p.ending(ctx).Refusal())
		return
	}
	p.known = p.topic.Load()
	c := core.NewCore(p.id, config.Epoch.Number(), p.known.Codec(), config.Times)
	p.step(c, time.Now(), nil)
	p.mailbox.Run(ctx, config.Times.Heartbeat, func(now time.Time, events []core.Event) bool {
		if p.service.replaced() {
			return false
		}
		above := p.step(c, now, events)
		gather(ctx, len(events))
		if above == 0 {
			return true
		}
		epoch, err := p.takeEpoch(ctx, above)
		if err == nil {
			p.step(c, time.Now(), []core.Event{core.EpochTaken{Epoch: epoch}})
		}
		return err == nil
	})
	ending := p.ending(ctx)
	refusal := ending.Refusal()
	p.refusal.Store(refusal)
	p.step(c, time.Now(), append([]core.Event{ending}, p.mailbox.Rest()...))
	config.Fetches.Close(p.id, refusal)
	p.close()
}

// ending returns why the actor ends: the cause of its context, or the replacement of the
// whole frontend.
func (p *Partition) ending(ctx context.Context) core.Ending {
	end := core.Ending{Replaced: p.service.replaced()}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, supervisor.ErrDeleted):
		end.Reason = core.Deleted
	case errors.Is(cause, supervisor.ErrRenewed):
		end.Reason = core.Renewed
	}
	return end
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

// takeEpoch takes an epoch above the one that has fenced the core, and retries until it
// succeeds. An error means that a younger frontend exists or the actor ends.
func (p *Partition) takeEpoch(ctx context.Context, above uint64) (uint64, error) {
	for {
		next, err := p.service.config.Epoch.raise(ctx, above)
		if err == nil || errors.Is(err, ownership.ErrReplaced) || ctx.Err() != nil {
			return next, err
		}
		p.service.config.Logger.Error("no new frontend epoch could be taken; retrying",
			zap.Stringer("partition", p.id), zap.Error(err))
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// step steps the core and executes its effects. It returns the epoch above which a new one
// must be taken, or 0. Fetches receive the committed entries last: by then the payloads of
// the answered batches are in their cache.
func (p *Partition) step(c *core.Core, now time.Time, events []core.Event) (takeEpoch uint64) {
	var shown []committed
	for i, e := range events {
		if c, ok := e.(committed); ok {
			shown = append(shown, c)
			events[i] = c.CommittedEntry
		}
	}
	if live := p.service.config.Stagers(); live != p.stagers {
		p.stagers = live
		events = append([]core.Event{*live}, events...)
	}
	if topic := p.topic.Load(); topic != p.known {
		p.known = topic
		events = append([]core.Event{core.Codec{Codec: topic.Codec()}}, events...)
	}
	config := &p.service.config
	c.AllowInline(config.Inline())
	fx := c.Step(now, events)
	stats := c.Stats()
	p.stats.Store(&stats)
	config.Fetches.ReadOnly(p.id, stats.Damage)
	config.Wire.Send(fx.Send)
	p.answer(fx.Answers)
	if fx.Ready {
		p.open()
	}
	for _, c := range shown {
		config.Fetches.Committed(c.message, c.Entry)
	}
	return fx.TakeEpoch
}
