package replicator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/core/generation"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/supervisor"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// mailboxSize bounds the messages that wait for a partition. Each has many items.
const mailboxSize = 4096

// owner is the actor of one partition's log. The core belongs to its goroutine. The effects
// of the core that wait for JetStream run in goroutines of their own, and their results come
// back through the mailbox as events.
type owner struct {
	supervisor.Routine
	id       protocol.Partition
	service  *Service
	settings core.Settings // of the service, with the limits of the topic
	log      *partitionlog.Log
	mailbox  *actor.Mailbox[core.Event]
	spans    spans
	stats    atomic.Pointer[core.Stats]
	ended    chan struct{} // closed when the core has Stopped, or the actor has ended

	work   sync.WaitGroup                     // effects under way
	cancel atomic.Pointer[context.CancelFunc] // ends the current attempt to read or append
}

// slowElection is how long the leader of a stream with several replicas may lack entries. It
// is longer than an election.
const slowElection = 15 * time.Second

func (s *Service) owner(topic protocol.Topic, id protocol.Partition) *owner {
	settings := s.settings
	settings.Limits = limitsOf(topic)
	settings.Codec = topic.Codec()
	settings.Retention = s.retention(topic, id)
	if topic.Replicas > 1 {
		settings.Patience = slowElection
	}
	return &owner{
		settings: settings,
		id:       id, service: s, log: partitionlog.New(s.config.Conn, s.js, id),
		ended:   make(chan struct{}),
		mailbox: actor.NewMailbox[core.Event](mailboxSize), spans: newSpans(s.config.Telemetry, id),
	}
}

// limitsOf returns the limits of a topic's partitions.
func limitsOf(topic protocol.Topic) core.Limits {
	return core.Limits{ProducerExpiry: topic.ProducerExpiry(), MaxProducers: topic.MaxProducers}
}

// Configure implements supervisor.Actor. The owner takes the limits and the codec in its next
// turn.
func (p *owner) Configure(ctx context.Context, topic protocol.Topic) {
	p.put(ctx, limitsOf(topic))
	p.put(ctx, core.Codec{Codec: topic.Codec()})
	p.put(ctx, p.service.retention(topic, p.id))
}

// retention returns what a topic keeps. Only what is archived can be dropped.
func (s *Service) retention(topic protocol.Topic, id protocol.Partition) core.Retention {
	keeps := core.Retention{Age: topic.RetentionAge(), Bytes: topic.RetentionBytes}
	if s.settings.ArchiveBytes == 0 && keeps != (core.Retention{}) {
		s.config.Logger.Warn("the topic has a retention, but none of its records are dropped, because this replicator archives nothing; start it without --archive-bytes 0",
			zap.Stringer("partition", id))
	}
	return keeps
}

// Receive passes a message to the actor. It blocks while the mailbox is full, so that the
// messages wait in the NATS client.
func (p *owner) Receive(ctx context.Context, m messages.Message) { p.put(ctx, m) }

// put passes an event to the actor. It fails only when the actor is ending. The event may be
// lost then, because the next owner reads from the log what an append under way has done.
func (p *owner) put(ctx context.Context, e core.Event) { _ = p.mailbox.Put(ctx, e) }

// Start implements supervisor.Actor.
func (p *owner) Start() { p.Go(p.run) }

// run runs the actor until ctx ends or the core has ended. It waits for effects under way.
func (p *owner) run(ctx context.Context) {
	defer p.work.Wait()
	end := sync.OnceFunc(func() { close(p.ended) })
	defer end()
	settings := p.settings
	settings.Epoch = p.service.epoch.Epoch()
	c := core.NewCore(p.id, settings)
	known, behind := uint64(0), p.service.behind.now.Load() // that the core knows
	p.do(ctx, c.Step(time.Now(), []core.Event{core.Behind{Reason: behind.Damage(p.id)}}))
	p.mailbox.Run(ctx, settings.Heartbeat, func(now time.Time, events []core.Event) bool {
		if p.service.Err() != nil {
			return false
		}
		if newest := p.service.generation.Newest(); newest != known {
			known = newest
			events = append(slices.Clip(events), core.Generation{Newest: newest})
		}
		if newest := p.service.behind.now.Load(); newest != behind {
			behind = newest
			events = append(slices.Clip(events), core.Behind{Reason: behind.Damage(p.id)})
		}
		fx := c.Step(now, events)
		stats := c.Stats()
		p.stats.Store(&stats)
		if stats.Watermark > 0 {
			p.service.generation.Found(stats.Watermark + generation.Lag) // the generation was as high as that
		}
		p.do(ctx, fx)
		p.report(fx)
		if fx.Stopped {
			end()
		}
		return fx.Ended == nil
	})
}

// stop makes the owner write an exact mark, and waits until the mark is durable or ctx ends.
// It does not end the actor.
func (p *owner) stop(ctx context.Context) {
	if p.mailbox.Put(ctx, core.Stopping{}) != nil {
		return
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.service.config.Logger.Warn("the owner of the log did not stop in time; its successor leaves out the reserved offsets",
			zap.Stringer("partition", p.id))
	}
}

// report logs the effects that an operator should see.
func (p *owner) report(fx core.Effects) {
	log := p.service.config.Logger.With(zap.Stringer("partition", p.id))
	for _, text := range fx.Warnings {
		log.Warn(text)
	}
	if fx.Gap != nil {
		log.Warn("the last owner of the log did not stop cleanly; the offsets that it had reserved are left out, because their records may have been acknowledged",
			zap.Int64("from", fx.Gap.From), zap.Int64("to", fx.Gap.To))
	}
	if fx.Damage != "" {
		log.Error("the partition is read-only, because "+fx.Damage+". Restore the data of JetStream from a copy, or see: laneway topic repair "+p.id.Topic,
			zap.String("stream", messages.LogStream(p.id)))
	}
	if fx.Refusing != "" {
		log.Error("JetStream accepts no appends to a log; producers get no acknowledgements until it does. "+refusalAdvice, zap.String("error", fx.Refusing))
	}
	if fx.Ended != nil {
		p.service.Fail(fx.Ended)
	}
}

// do starts the effects of a step. At most one of Load, Append and Read is set.
func (p *owner) do(ctx context.Context, fx core.Effects) {
	p.service.Wire.Send(fx.Send)
	p.spans.committed(fx.Committed)
	if fx.TakeEpoch != 0 {
		p.work.Go(func() { p.takeEpoch(ctx, fx.TakeEpoch) })
	}
	if fx.Save != nil {
		p.work.Go(func() { p.save(ctx, fx.Save) })
	}
	if fx.Mark != nil {
		p.work.Go(func() { p.mark(ctx, *fx.Mark) })
	}
	if fx.Scrub != nil {
		p.work.Go(func() { p.scrub(ctx, *fx.Scrub) })
	}
	if fx.AskTime {
		p.work.Go(func() { p.askTime(ctx) })
	}
	if fx.Purge != nil {
		p.work.Go(func() { p.purge(ctx, *fx.Purge) })
	}
	switch {
	case fx.Load:
		p.work.Go(func() { p.load(ctx) })
	case fx.Append != nil:
		p.spans.appending()
		p.work.Go(func() { p.append(ctx, *fx.Append) })
	case fx.Read != nil:
		p.work.Go(func() { p.read(ctx, *fx.Read) })
	}
}

// takeEpoch takes an epoch above the given one, and passes EpochTaken or Replaced to the
// core. After any other error it passes nothing, because the actor is ending then.
func (p *owner) takeEpoch(ctx context.Context, above uint64) {
	next, err := p.service.raise(ctx, above)
	switch {
	case err == nil:
		p.service.config.Logger.Warn("the log has an epoch that is not below this replicator's, and no younger replicator is running; claiming the log with a new epoch",
			zap.Stringer("partition", p.id), zap.Uint64("known", above), zap.Uint64("epoch", next))
		p.put(ctx, core.EpochTaken{Epoch: next})
	case errors.Is(err, ownership.ErrReplaced), errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")):
		p.put(ctx, core.Replaced{Err: err})
	}
}

const refusalAdvice = "If its disk was full, make room and restart the NATS server: it does not write again by itself"

// check returns why this owner cannot append to the log, or nil.
func (p *owner) check() error {
	t := p.stats.Load()
	switch {
	case t != nil && t.Refusing != "":
		return protocol.Errorf(protocol.CodeUnavailable, "JetStream accepts no appends to the log of partition %s. %s. (%s)",
			p.id, refusalAdvice, t.Refusing)
	case t != nil && t.Damage != "":
		return protocol.Errorf(protocol.CodePartitionDamaged, "partition %s: %s", p.id, t.Damage)
	case t == nil || !t.Leading:
		return protocol.Errorf(protocol.CodeUnavailable, "the log of partition %s is being taken over", p.id)
	}
	return nil
}
