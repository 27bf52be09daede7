package sequencer

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/core/member"
	"laneway.dev/internal/transport"
	"laneway.dev/services/sequencer/core"
)

// mailboxSize bounds the messages that wait for a log; each carries many items.
const mailboxSize = 4096

// errDisowned is why an actor ends.
var errDisowned = errors.New("the log is another instance's, or the service stops")

// tenure is the actor of one log for as long as this instance owns it. The core belongs to its goroutine.
type tenure struct {
	actor.Routine

	log          *log
	n            int // of the log in the record of the role
	mailbox      *actor.Mailbox[core.Event]
	spans        spans
	latest       atomic.Pointer[core.Stats]
	subscription *nats.Subscription // guarded by log.mu
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
		return true
	}
	turn(time.Now(), added)
	t.mailbox.Run(ctx, s.config.Heartbeat, turn)
}

// end ends the actor and waits for it.
func (t *tenure) end() {
	if t.subscription != nil {
		_ = transport.Unsubscribe(t.subscription) // it fails if the connection is closed, and then nothing arrives
	}
	t.End(errDisowned)
	t.Await()
}

// stats returns what happened so far.
func (t *tenure) stats() core.Stats { return *t.latest.Load() }

// counted returns what happened in a tenure that has ended: it has no lanes any more.
func (t *tenure) counted() core.Stats {
	s := t.stats()
	s.Lanes, s.Waiting = 0, 0
	return s
}
