package sequencer

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/core/member"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/sequencer/core"
)

// mailboxSize bounds the messages that wait for a log; each carries many items.
const mailboxSize = 4096

// errDisowned is why an actor ends.
var errDisowned = errors.New("the log is another instance's, or the service stops")

// tenure is the actor of one log for as long as this instance owns it. The core belongs to its goroutine.
type tenure struct {
	actor.Routine

	log     *log
	n       int // of the log in the record of the role
	mailbox *actor.Mailbox[core.Event]
	spans   spans
	latest  atomic.Pointer[core.Stats]
	passed  atomic.Bool // everything was passed on to the next owner

	// Guarded by log.mu.
	arrivals *nats.Subscription // to the subject of the log
	began    *nats.Subscription // to messages.SequencerBegan; nil if no hand-over is under way
	until    time.Time          // when the hand-over is given up; zero if none is under way
}

// begin starts the actor of a log with the partitions that there are.
func (l *log) begin(n int, epoch uint64, added []core.Event) *tenure {
	t := &tenure{
		log: l, n: n, mailbox: actor.NewMailbox[core.Event](mailboxSize), spans: newSpans(l.service.config.Telemetry),
	}
	t.latest.Store(&core.Stats{})
	t.Go(func(ctx context.Context) { t.run(ctx, epoch, added) })
	return t
}

func (t *tenure) put(ctx context.Context, e core.Event) {
	// An error means that the actor is ending. The heartbeat of the lanes repairs the loss.
	_ = t.mailbox.Put(ctx, e)
}

// run is the actor's goroutine.
func (t *tenure) run(ctx context.Context, epoch uint64, added []core.Event) {
	s := t.log.service
	c := core.NewLog(epoch, s.config.Heartbeat)
	turn := func(now time.Time, events []core.Event) bool {
		fx := c.Step(now, events)
		stats := c.Stats()
		t.latest.Store(&stats)        // whoever has a result finds it counted
		t.spans.released(fx.Released) // before their trace contexts leave
		s.Wire.Send(fx.Send)
		if fx.TakeEpoch != 0 {
			// An error means that the instance leaves. The answer is a record in which it owns the log in a higher
			// epoch, or does not own it.
			_ = s.joined.Load().Ask(ctx, member.Raise{Log: t.n, Above: fx.TakeEpoch})
		}
		if slices.Contains(events, core.Event(core.HandOver{})) {
			t.passed.Store(true)
			s.look()
			return false
		}
		return true
	}
	turn(time.Now(), added)
	t.mailbox.Run(ctx, s.config.Heartbeat, turn)
}

// subscribe makes the messages for the log arrive, and then says so.
func (t *tenure) subscribe() error {
	s := t.log.service
	sub, err := s.Wire.Subscribe(messages.SequencerLogSubject(t.log.number), "", func(m messages.Message) { t.put(context.Background(), m) })
	if err != nil {
		return err
	}
	t.arrivals = sub
	_ = s.config.Conn.Publish(messages.SequencerBegan(t.log.number), nil) // without that, what the last owner holds is staged again
	return nil
}

// handOverTime bounds how long a tenure waits for the next owner, which may be frozen, and how long an instance that
// stops waits for others to take its logs.
const handOverTime = 2 * time.Second

// handOver makes the tenure pass on what it holds when another instance says that it has begun. log.mu is held.
func (t *tenure) handOver() error {
	if t.began != nil {
		return nil
	}
	s := t.log.service
	sub, err := s.config.Conn.Subscribe(messages.SequencerBegan(t.log.number), func(*nats.Msg) { t.put(context.Background(), core.HandOver{}) })
	if err != nil {
		return err
	}
	t.began, t.until = sub, time.Now().Add(handOverTime)
	time.AfterFunc(handOverTime, s.look)
	return nil
}

// handsOver reports whether a hand-over is under way. log.mu is held.
func (t *tenure) handsOver() bool { return !t.passed.Load() && time.Now().Before(t.until) }

// keep ends a hand-over because the instance owns the log after all. It returns false if everything was passed on.
// log.mu is held.
func (t *tenure) keep() bool {
	if t.began != nil {
		unsubscribe(t.began)
		t.began, t.until = nil, time.Time{}
	}
	return !t.passed.Load()
}

// end ends the actor and waits for it. log.mu is held.
func (t *tenure) end() {
	unsubscribe(t.arrivals)
	unsubscribe(t.began)
	t.End(errDisowned)
	t.Await()
}

// unsubscribe ends a subscription, which may be nil. An error would mean that nothing arrives any more.
func unsubscribe(sub *nats.Subscription) {
	if sub != nil {
		_ = transport.Unsubscribe(sub)
	}
}

// stats returns what happened so far.
func (t *tenure) stats() core.Stats { return *t.latest.Load() }

// counted returns what happened in a tenure that has ended: it has no lanes any more.
func (t *tenure) counted() core.Stats {
	s := t.stats()
	s.Lanes, s.Waiting = 0, 0
	return s
}
