package replicator

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/sweepstate"
	"laneway.dev/internal/tenure"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// mailboxSize bounds the messages that wait for a log. Each has many items. The results of effects do
// not count: each partition has only a few under way.
const mailboxSize = 4096

// errDisowned is why an actor ends.
var errDisowned = errors.New("the log is another instance's, or the service stops")

// work is the tenure of a log: an actor, whose goroutine owns the cores of all partitions of the log. The effects
// of the cores that wait for JetStream run in goroutines of
// their own, and their results come back through the mailbox as events for their partitions. So no
// partition waits for another one.
//
// Before the log is given away, all partitions write exact marks, so that the next owner leaves out no offsets.
type work struct {
	actor.Routine

	log      *log
	n        int // of the log in the record of the role
	mailbox  *actor.Mailbox[core.Event]
	arrivals *nats.Subscription // to the subject of the log
	prepared atomic.Bool        // whether all partitions have stopped

	stopping time.Time // when Prepare was first called; zero before

	// Owned by the goroutine.
	core     *core.Log
	owners   map[protocol.Partition]*owner
	newest   uint64             // generation that the core knows
	behind   *sweepstate.Behind // that the core knows; nil if no log is behind
	finishes bool               // whether the partitions are to stop
}

var _ tenure.Tenure = (*work)(nil)

// Events of the shell, besides those of the core.
type (
	added   struct{ owner *owner }
	removed struct{ owner *owner }
)

// begin begins to work on the log.
func (l *log) begin(n int, epoch uint64) (*work, error) {
	w := &work{log: l, n: n, mailbox: actor.NewMailbox[core.Event](mailboxSize), owners: make(map[protocol.Partition]*owner)}
	sub, err := l.service.Wire.Subscribe(messages.ReplicatorLogSubject(l.number), "", w.receive)
	if err != nil {
		return nil, err
	}
	w.arrivals = sub
	settings := l.service.settings
	settings.Owner, settings.Epoch = nuid.Next(), epoch
	w.core = core.NewLog(settings)
	started := make([]core.Event, 0, len(l.partitions))
	for _, p := range l.partitions {
		o := w.newOwner(p.topic, p.id)
		o.atStart.Store(true)
		p.owner.Store(o)
		started = append(started, added{o})
	}
	w.Go(func(ctx context.Context) { w.run(ctx, started) })
	return w, nil
}

// receive passes a message to the actor. It blocks while the mailbox is full, so that the
// messages wait in the NATS client.
func (w *work) receive(m messages.Message) {
	_ = w.mailbox.Put(context.Background(), m) // an error means that the actor is ending; senders repeat their messages
}

// run runs the actor until ctx ends. The owners that are left then have no effects any more.
func (w *work) run(ctx context.Context, started []core.Event) {
	w.step(ctx, time.Now(), started)
	w.mailbox.Run(ctx, w.log.service.settings.Heartbeat, func(now time.Time, events []core.Event) bool {
		w.step(ctx, now, events)
		return true
	})
	for _, p := range w.owners {
		p.cancel()
	}
	for _, p := range w.owners {
		p.work.Wait()
	}
}

// step steps the core and starts its effects.
func (w *work) step(ctx context.Context, now time.Time, events []core.Event) {
	var started, gone []*owner
	for i, e := range events {
		switch e := e.(type) {
		case added:
			started = append(started, e.owner)
			w.owners[e.owner.id] = e.owner
			events[i] = e.owner.added
		case removed:
			gone = append(gone, e.owner)
			events[i] = core.Removed{Partition: e.owner.id}
		case core.Stopping:
			w.finishes = true
		}
	}
	turn := w.core.Step(now, append(slices.Clip(events), w.news(started)...))
	for i := range turn.Turned {
		w.owners[turn.Turned[i].Partition].count(turn.Turned[i].Stats) // whoever has a result finds it counted
	}
	w.send(turn.Send)
	if turn.TakeEpoch != 0 {
		w.log.service.config.Logger.Info("a log has an epoch that is not below that in which this instance owns it; asking for a higher one",
			zap.Uint16("log", w.log.number), zap.Uint64("known", turn.TakeEpoch))
		w.log.service.tenures.Raise(ctx, w.n, turn.TakeEpoch)
	}
	for i := range turn.Turned {
		w.owners[turn.Turned[i].Partition].do(&turn.Turned[i].Effects)
	}
	for _, p := range gone {
		delete(w.owners, p.id)
		close(p.removed)
	}
	if w.finishes && !w.prepared.Load() && w.allStopped() {
		w.prepared.Store(true)
		w.log.service.tenures.Look()
	}
}

func (w *work) allStopped() bool {
	for _, p := range w.owners {
		if !p.stopped {
			return false
		}
	}
	return true
}

// news returns what the service knows and the core does not. Owners that start learn in their first turn
// whether their logs are behind.
func (w *work) news(started []*owner) (events []core.Event) {
	s := w.log.service
	if newest := s.generation.Newest(); newest != w.newest {
		w.newest = newest
		events = append(events, core.Generation{Newest: newest})
	}
	before, now := w.behind, s.behind.now.Load()
	w.behind = now
	if before != now {
		for _, p := range w.owners {
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
// them: all of one message would come to the same archiver. What the log does not prove is said only as
// long as the instance has proof that the log is its own.
func (w *work) send(all []messages.Envelope) {
	s := w.log.service
	others := all[:0]
	for i := range all {
		switch all[i].Message.(type) {
		case messages.Archive:
			s.Wire.Send(all[i : i+1])
			continue
		case messages.ReadOnly, messages.Congested:
			if !s.tenures.May() {
				continue // it is repeated
			}
		}
		others = append(others, all[i])
	}
	s.Wire.Send(others)
}

// Raise implements tenure.Tenure.
func (w *work) Raise(epoch uint64) {
	_ = w.mailbox.Add(core.EpochTaken{Epoch: epoch}) // an error means that the actor is ending
}

// stopTime bounds how long the partitions may take to write their exact marks.
const stopTime = 5 * time.Second

// Prepare implements tenure.Tenure.
func (w *work) Prepare() tenure.Readiness {
	s := w.log.service
	switch {
	case w.stopping.IsZero():
		w.stopping = time.Now()
		time.AfterFunc(stopTime, s.tenures.Look)
		_ = w.mailbox.Add(core.Stopping{}) // an error means that the actor is ending
	case w.prepared.Load():
		return tenure.Ready
	case time.Since(w.stopping) >= stopTime:
		s.config.Logger.Warn("not all partitions of a log have stopped in time; its next owner leaves out the offsets that these have reserved",
			zap.Uint16("log", w.log.number))
		w.prepared.Store(true)
		return tenure.Ready
	}
	return tenure.Preparing
}

// Keep implements tenure.Tenure. Partitions that have stopped do not go on.
func (w *work) Keep() (can bool) { return w.stopping.IsZero() }

// Lingers implements tenure.Tenure. Everything that matters stands in the log.
func (w *work) Lingers() bool { return false }

// End implements tenure.Tenure.
func (w *work) End(bool) {
	_ = transport.Unsubscribe(w.arrivals) // an error would mean that nothing arrives any more
	w.Routine.End(errDisowned)
	w.Await()
	for _, p := range w.log.partitions {
		if o := p.owner.Swap(nil); o != nil {
			if t := o.stats.Load(); t != nil {
				count(&w.log.past, t)
			}
		}
	}
}
