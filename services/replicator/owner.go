package replicator

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/core/generation"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// owner is the right to append to one partition's log, a part of the work on the log with its number.
// It starts the effects of the core, and can be used by any goroutine apart from what is named here.
type owner struct {
	id      protocol.Partition
	service *Service
	actor   *work
	added   core.Added
	log     *partitionlog.Log
	stats   atomic.Pointer[core.Stats]
	atStart atomic.Bool // whether it starts with the work on its log, and has loaded nothing

	ctx       context.Context // of the effects; ends with the partition, or with the actor
	cancel    context.CancelFunc
	work      sync.WaitGroup                     // effects under way; the actor adds none after removed was closed
	interrupt atomic.Pointer[context.CancelFunc] // ends the current attempt to read or append

	removed chan struct{} // closed by the actor, which does not know the partition any more
	ended   chan struct{} // closed when the partition has ended, and no effect is under way

	// Owned by the actor.
	spans   spans
	stopped bool // whether the core has Stopped
}

// slowElection is how long the leader of a stream with several replicas may lack entries. It
// is longer than an election.
const slowElection = 15 * time.Second

// newOwner returns the owner of a partition, of which the actor does not know yet.
func (w *work) newOwner(topic protocol.Topic, id protocol.Partition) *owner {
	s := w.log.service
	p := &owner{
		id: id, service: s, actor: w, log: partitionlog.New(s.config.Conn, s.js, id), spans: newSpans(s.config.Telemetry, id),
		added:   core.Added{Partition: id, Limits: limitsOf(topic), Codec: topic.Codec(), Retention: s.retention(topic, id)},
		removed: make(chan struct{}), ended: make(chan struct{}),
	}
	if topic.Replicas > 1 {
		p.added.Patience = slowElection
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// limitsOf returns the limits of a topic's partitions.
func limitsOf(topic protocol.Topic) core.Limits {
	return core.Limits{ProducerExpiry: topic.ProducerExpiry(), MaxProducers: topic.MaxProducers}
}

// configure passes an update of the topic to the core, which takes the limits and the codec in its next turn.
func (p *owner) configure(ctx context.Context, topic protocol.Topic) {
	for _, e := range []core.Event{limitsOf(topic), core.Codec{Codec: topic.Codec()}, p.service.retention(topic, p.id)} {
		_ = p.actor.mailbox.Put(ctx, core.For{Partition: p.id, Event: e}) // an error means that the actor is ending
	}
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

// put passes the result of an effect to the actor. It fails only when the actor is ending, and the core
// drops it if the partition has ended. It may be lost then, because the next owner reads from the log
// what an append under way has done.
func (p *owner) put(e core.Event) { _ = p.actor.mailbox.Add(core.For{Partition: p.id, Event: e}) }

// end ends the owner because its partition has ended. It does not wait for that.
func (p *owner) end() {
	p.cancel()
	go func() {
		defer close(p.ended)
		if p.actor.mailbox.Put(context.Background(), removed{p}) == nil {
			select {
			case <-p.removed:
			case <-p.actor.Ended():
			}
		} else {
			<-p.actor.Ended()
		}
		p.work.Wait()
	}()
}

// count shows the statistics after a turn to other goroutines.
func (p *owner) count(stats core.Stats) {
	p.stats.Store(&stats)
	if stats.Watermark > 0 {
		p.service.generation.Found(stats.Watermark + generation.Lag) // the generation was as high as that
	}
}

// report logs the effects that an operator should see.
func (p *owner) report(fx *core.Effects) {
	if len(fx.Warnings) == 0 && fx.Gap == nil && fx.Damage == "" && fx.Refusing == "" {
		return // a logger costs more than most turns
	}
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
			zap.String("log", messages.LogName(p.id)))
	}
	if fx.Refusing != "" {
		log.Error("JetStream accepts no appends to a log; producers get no acknowledgements until it does. "+refusalAdvice, zap.String("error", fx.Refusing))
	}
}

// do starts the effects of a turn. At most one of Load, Append and Read is set.
func (p *owner) do(fx *core.Effects) {
	p.spans.committed(fx.Committed)
	ctx := p.ctx
	if save := fx.Save; save != nil {
		p.work.Go(func() { p.save(ctx, save) })
	}
	if mark := fx.Mark; mark != nil {
		p.work.Go(func() { p.mark(ctx, *mark) })
	}
	if scrub := fx.Scrub; scrub != nil {
		p.work.Go(func() { p.scrub(ctx, *scrub) })
	}
	if fx.AskTime {
		p.work.Go(func() { p.askTime(ctx) })
	}
	if purge := fx.Purge; purge != nil {
		p.work.Go(func() { p.purge(ctx, *purge) })
	}
	switch entry, part := fx.Append, fx.Read; {
	case fx.Load:
		p.work.Go(func() { p.load(ctx) })
	case entry != nil:
		p.spans.appending()
		p.append(*entry)
	case part != nil:
		p.work.Go(func() { p.read(ctx, *part) })
	}
	p.report(fx)
	p.stopped = p.stopped || fx.Stopped
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
		return messages.ReadOnly{Partition: p.id, Damage: t.Damage, Unbegun: t.Unbegun}.Err()
	case t == nil || !t.Leading:
		return protocol.Errorf(protocol.CodeUnavailable, "the log of partition %s is being taken over", p.id)
	}
	return nil
}
