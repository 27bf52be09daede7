package replicator

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// mailboxSize bounds the messages that wait for a partition; each carries many items.
const mailboxSize = 4096

// partition is the actor of one partition. The core belongs to its goroutine;
// reads of the log and appends to it run beside it, one at a time.
type partition struct {
	id      protocol.Partition
	service *Service
	log     *partitionlog.Log
	mailbox *actor.Mailbox[Event]
	spans   spans
	stats   atomic.Pointer[Stats]
	refusal atomic.Pointer[refusal] // of the last appends; nil if the last one succeeded

	settings  Settings      // with those of the topic
	stopping  atomic.Bool   // a core that takes the place of another one has to stop as well
	scrubbing bool          // belongs to the goroutine of Run
	ended     chan struct{} // closed when the core has Stopped, or the actor has ended

	work   sync.WaitGroup                     // the read, append and save under way
	cancel atomic.Pointer[context.CancelFunc] // ends its present attempt
}

func (s *Service) partition(topic protocol.Topic, id protocol.Partition) *partition {
	settings := s.settings
	settings.ProducerExpiry, settings.MaxProducers = topic.ProducerExpiry(), topic.MaxProducers
	if topic.Replicas > 1 {
		settings.Patience = tellAfter
	}
	return &partition{
		settings: settings,
		id:       id, service: s, log: partitionlog.New(s.config.Conn, s.js, id),
		ended:   make(chan struct{}),
		mailbox: actor.NewMailbox[Event](mailboxSize), spans: newSpans(s.config.Telemetry, id),
	}
}

// Receive hands a message to the actor.
func (p *partition) Receive(ctx context.Context, m messages.Message) {
	// An error means that the actor is ending: the next owner is told again.
	_ = p.mailbox.Put(ctx, m)
}

// Run is the actor's goroutine.
func (p *partition) Run(ctx context.Context) {
	defer p.work.Wait()
	end := sync.OnceFunc(func() { close(p.ended) })
	defer end()
	core := p.core(p.service.epoch.Epoch())
	p.do(ctx, core.Step(time.Now(), nil))
	p.mailbox.Run(ctx, p.settings.Heartbeat, func(now time.Time, events []Event) bool {
		if p.service.Err() != nil {
			return false
		}
		fx := core.Step(now, events)
		stats := core.Stats()
		p.clockFell(p.stats.Swap(&stats), &stats)
		if fx.Fenced != 0 {
			next, err := p.service.fenced(ctx, fx.Fenced)
			if err != nil {
				return false
			}
			p.service.config.Logger.Warn("the log knows an epoch that is not below this replicator's, and no younger replicator runs; claiming it with a new epoch",
				zap.Stringer("partition", p.id), zap.Uint64("known", fx.Fenced), zap.Uint64("epoch", next))
			core = p.core(next)
			fx = core.Step(time.Now(), p.firstEvents())
		}
		p.do(ctx, fx)
		p.report(fx)
		if stats.Leading && !p.scrubbing {
			p.scrubbing = true
			p.work.Go(func() { p.scrub(ctx, stats.Covered) })
		}
		if fx.Stopped {
			end()
		}
		return true
	})
}

// core returns the core of an epoch. Its first effect is to load, so that nothing
// that an earlier core has asked for is under way but a save.
func (p *partition) core(number uint64) *Core {
	settings := p.settings
	settings.Epoch = number
	return NewCore(p.id, settings)
}

// firstEvents returns what a core has to be told that takes the place of another one.
func (p *partition) firstEvents() []Event {
	if p.stopping.Load() {
		return []Event{Stopping{}}
	}
	return nil
}

// stop lets the owner leave a mark that says where its log ends. It waits until that is
// durable, or ctx ends.
func (p *partition) stop(ctx context.Context) {
	p.stopping.Store(true)
	if p.mailbox.Put(ctx, Stopping{}) != nil {
		return
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.service.config.Logger.Warn("the owner of the log did not stop in time; its successor leaves out the offsets that were reserved",
			zap.Stringer("partition", p.id))
	}
}

// report logs what an operator should know of the log.
func (p *partition) report(fx Effects) {
	log := p.service.config.Logger.With(zap.Stringer("partition", p.id))
	for _, text := range fx.Warnings {
		log.Warn(text)
	}
	if fx.Gap != nil {
		log.Warn("the last owner of the log has not stopped cleanly; offsets that it had reserved are left out, because records at them may have been acknowledged",
			zap.Int64("from", fx.Gap.From), zap.Int64("to", fx.Gap.To))
	}
	if fx.Damage != "" {
		log.Error("the partition is read-only, because "+fx.Damage+". Restore the data of JetStream from a copy, or see: laneway topic repair "+p.id.Topic,
			zap.String("stream", messages.LogStream(p.id)))
	}
}

func (p *partition) do(ctx context.Context, fx Effects) {
	p.service.wire.Send(fx.Send)
	p.spans.committed(fx.Committed)
	if fx.Save != nil {
		p.work.Go(func() { p.save(ctx, fx.Save) })
	}
	if fx.Mark != nil {
		p.work.Go(func() { p.mark(ctx, *fx.Mark) })
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

// append runs one append and reports how it went.
func (p *partition) append(ctx context.Context, a Append) {
	sequence, err := attempt(ctx, p, func(ctx context.Context) (uint64, error) {
		return p.log.Append(ctx, a.Expected, a.Data)
	})
	if err == nil {
		p.refusal.Store(nil)
		_ = p.mailbox.Put(ctx, Appended{sequence})
		return
	}
	if ctx.Err() != nil {
		return
	}
	if p.deleted(ctx) {
		return
	}
	p.refused(err)
	p.service.config.Logger.Warn("an append did not succeed; its fate is settled by reading the log",
		zap.Stringer("partition", p.id), zap.Error(err))
	if !errors.Is(err, partitionlog.ErrMoved) {
		pause(ctx, longestPause)
	}
	_ = p.mailbox.Put(ctx, AppendFailed{})
}

// deleted waits for the end of the actor if the topic was deleted, and then returns true:
// that its log fails means nothing more. The registry tells of the deletion soon, and the
// actor ends. It returns false as soon as the topic is there, which it may be again.
func (p *partition) deleted(ctx context.Context) bool {
	for ctx.Err() == nil {
		if !p.service.registry.Gone(ctx, p.id) {
			return ctx.Err() != nil
		}
		pause(ctx, gonePause)
	}
	return true
}

// refusal is why appends to a log fail, and since when they do.
type refusal struct {
	err   error
	since time.Time
	told  bool
}

// tellAfter is how long failures are no accident any more: longer than a stream
// of several replicas takes to elect a leader.
const tellAfter = 15 * time.Second

func (r *refusal) lasts() bool { return r != nil && time.Since(r.since) >= tellAfter }

// refused notes an append that failed. A log that goes on refusing is told of
// once: JetStream itself answers nothing.
func (p *partition) refused(err error) {
	if errors.Is(err, partitionlog.ErrMoved) || errors.Is(err, partitionlog.ErrSealed) {
		return // JetStream did answer
	}
	r := refusal{err: err, since: time.Now()}
	if last := p.refusal.Load(); last != nil {
		r.since, r.told = last.since, last.told
	}
	tell := r.lasts() && !r.told
	r.told = r.told || tell
	p.refusal.Store(&r)
	if tell {
		p.service.config.Logger.Error("JetStream takes no appends to a log; producers get no acknowledgements until it does. "+refusalAdvice,
			zap.Stringer("partition", p.id), zap.Error(err))
	}
}

const refusalAdvice = "If its disk was full, make room and restart the NATS server: it does not write again by itself"

// check returns why the log takes nothing from this owner, or nil.
func (p *partition) check() error {
	if r := p.refusal.Load(); r.lasts() {
		return protocol.Errorf(protocol.CodeUnavailable, "JetStream takes no appends to the log of partition %s. %s. (%v)",
			p.id, refusalAdvice, r.err)
	}
	t := p.stats.Load()
	if t != nil && t.Damage != "" {
		return protocol.Errorf(protocol.CodePartitionDamaged, "partition %s: %s", p.id, t.Damage)
	}
	if t == nil || !t.Leading {
		return protocol.Errorf(protocol.CodeUnavailable, "the log of partition %s is being taken over", p.id)
	}
	return nil
}

// read reads a part of the log, for as long as it takes.
func (p *partition) read(ctx context.Context, r Read) {
	begun := time.Now()
	for failures := 0; ctx.Err() == nil; failures++ {
		result, err := attempt(ctx, p, func(ctx context.Context) (LogRead, error) {
			return p.readOnce(ctx, r)
		})
		if err == nil && result.empty() && time.Since(begun) < newLogTime {
			pause(ctx, firstPause)
			continue
		}
		if err == nil {
			// The log of a deleted topic is not damaged, nor is that of another one of its name.
			if (result.Gone || result.Corrupt != "") && p.deleted(ctx) {
				return
			}
			_ = p.mailbox.Put(ctx, result)
			return
		}
		const often = 20
		if (failures+1)%often == 0 && p.deleted(ctx) {
			return
		}
		if (failures+1)%often == 0 && ctx.Err() == nil { // not for a topic whose log is just being made
			p.service.config.Logger.Warn("the log cannot be read; trying again until it can",
				zap.Stringer("partition", p.id), zap.Uint64("sequence", r.From), zap.Error(err))
		}
		pause(ctx, min(firstPause<<min(failures, often), longestPause))
	}
}

// newLogTime is how long a log may take to get its first entry before the core hears of
// it: a topic's record is there a moment before its logs.
const newLogTime = 2 * time.Second

// empty reports whether there is no log, or one without any entry.
func (r *LogRead) empty() bool {
	return r.Gone || r.AtEnd && r.Last == 0 && len(r.Entries) == 0
}

// readOnce reads a part of the log. At its end it asks the stream's leader where that is.
func (p *partition) readOnce(ctx context.Context, r Read) (LogRead, error) {
	entries, atEnd, err := p.log.Read(ctx, r.From, r.Limit)
	if errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		return LogRead{Entries: entries, Corrupt: err.Error()}, nil
	}
	if err != nil {
		return p.gone(ctx, err)
	}
	if !atEnd {
		return LogRead{Entries: entries}, nil
	}
	last := r.From - 1
	if len(entries) > 0 {
		last = entries[len(entries)-1].Sequence
	}
	end, err := p.log.Confirm(ctx, last)
	return LogRead{Entries: entries, AtEnd: !end.Behind, Last: end.Last, Sealed: end.Sealed}, err
}

// gone returns that the log's stream does not exist if that is why it could not be
// read, and the error otherwise.
func (p *partition) gone(ctx context.Context, err error) (LogRead, error) {
	if _, lookErr := p.log.Bounds(ctx); errors.Is(lookErr, jetstream.ErrStreamNotFound) {
		return LogRead{Gone: true}, nil
	}
	return LogRead{}, err
}

// attempt gives an operation a bounded time, which a lost connection ends early.
func attempt[T any](ctx context.Context, p *partition, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, p.service.config.AppendTimeout)
	defer cancel()
	p.cancel.Store(&cancel)
	defer p.cancel.Store(nil)
	return do(ctx)
}

// interrupt ends the attempt under way, if there is one.
func (p *partition) interrupt() {
	if cancel := p.cancel.Load(); cancel != nil {
		(*cancel)()
	}
}

// Pauses between tries of an operation that fails.
const (
	firstPause   = 5 * time.Millisecond
	longestPause = 100 * time.Millisecond
	gonePause    = time.Second
)

// pause keeps a failing operation from being tried in a tight loop.
func pause(ctx context.Context, between time.Duration) {
	timer := time.NewTimer(between)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
