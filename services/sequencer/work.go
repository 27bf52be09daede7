package sequencer

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/tenure"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/sequencer/core"
)

// mailboxSize bounds the messages that wait for a log; each carries many items.
const mailboxSize = 4096

// errDisowned is why an actor ends.
var errDisowned = errors.New("the log is another instance's, or the service stops")

// work is the tenure of a log: an actor, to whose goroutine the core belongs.
//
// When the log is given away, the actor serves it until the next owner says that it has begun, and passes on what it
// holds then. The next owner says so on the subject of the log, where each message that has arrived before at
// the same NATS server is before it.
type work struct {
	actor.Routine

	log      *log
	n        int // of the log in the record of the role
	mailbox  *actor.Mailbox[core.Event]
	arrivals *nats.Subscription // to the subject of the log
	spans    spans
	latest   atomic.Pointer[core.Stats]
	epoch    atomic.Uint64
	prepared atomic.Bool // whether the next owner gets what the core holds
	passed   atomic.Bool // whether it has got that

	until time.Time // the next owner is waited for, once it is named by the record; zero before
}

var _ tenure.Tenure = (*work)(nil)

// begin begins to work on the log.
func (l *log) begin(n int, epoch uint64) (*work, error) {
	s := l.service
	w := &work{log: l, n: n, mailbox: actor.NewMailbox[core.Event](mailboxSize), spans: newSpans(s.config.Telemetry)}
	w.latest.Store(&core.Stats{})
	w.epoch.Store(epoch)
	added := make([]core.Event, 0, len(l.partitions))
	for p := range l.partitions {
		added = append(added, core.Added{Partition: p})
	}
	sub, err := s.Wire.Subscribe(messages.SequencerLogSubject(l.number), "", w.receive)
	if err != nil {
		return nil, err
	}
	w.arrivals = sub
	w.Go(func(ctx context.Context) { w.run(ctx, epoch, added) })
	w.announce()
	return w, nil
}

// receive takes a message from the subject of the log.
func (w *work) receive(m messages.Message) {
	began, is := m.(messages.Began)
	switch {
	case !is:
		w.put(context.Background(), m)
	case w.prepared.Load() && began.Epoch > w.epoch.Load():
		w.put(context.Background(), core.HandOver{})
	}
}

// announce says that the log is served from now on. If that is lost, what the last owner holds is staged again.
func (w *work) announce() {
	w.log.service.Wire.Send([]messages.Envelope{{
		Subject: messages.SequencerLogSubject(w.log.number), Message: messages.Began{Partition: protocol.Partition{Log: w.log.number}, Epoch: w.epoch.Load()},
	}})
}

func (w *work) put(ctx context.Context, e core.Event) {
	// An error means that the actor is ending. The heartbeat of the lanes repairs the loss.
	_ = w.mailbox.Put(ctx, e)
}

// run is the actor's goroutine.
func (w *work) run(ctx context.Context, epoch uint64, added []core.Event) {
	s := w.log.service
	c := core.NewLog(epoch, s.config.Heartbeat)
	turn := func(now time.Time, events []core.Event) bool {
		fx := c.Step(now, events)
		stats := c.Stats()
		w.latest.Store(&stats)        // whoever has a result finds it counted
		w.spans.released(fx.Released) // before their trace contexts leave
		s.Wire.Send(fx.Send)
		if fx.TakeEpoch != 0 {
			s.tenures.Raise(ctx, w.n, fx.TakeEpoch)
		}
		if slices.Contains(events, core.Event(core.HandOver{})) {
			w.passed.Store(true)
			s.tenures.Look()
			return false
		}
		return true
	}
	turn(time.Now(), added)
	w.mailbox.Run(ctx, s.config.Heartbeat, turn)
}

// Raise implements tenure.Tenure. If the log was given away and has come back, its last owner waits to hear of it.
func (w *work) Raise(epoch uint64) {
	w.epoch.Store(epoch)
	w.put(context.Background(), core.EpochTaken{Epoch: epoch})
	w.announce()
}

// Prepare implements tenure.Tenure. The next owner may not know a log without partitions.
func (w *work) Prepare() tenure.Readiness {
	w.prepared.Store(len(w.log.partitions) > 0)
	return tenure.Ready
}

// Keep implements tenure.Tenure.
func (w *work) Keep() (can bool) {
	w.prepared.Store(false)
	w.until = time.Time{}
	return !w.passed.Load()
}

// handOverTime bounds how long the next owner, which may be frozen, is waited for.
const handOverTime = 2 * time.Second

// Lingers implements tenure.Tenure.
func (w *work) Lingers() bool {
	if !w.prepared.Load() || w.passed.Load() {
		return false
	}
	now := time.Now()
	if w.until.IsZero() {
		w.until = now.Add(handOverTime)
		time.AfterFunc(handOverTime, w.log.service.tenures.Look)
	}
	return now.Before(w.until)
}

// End implements tenure.Tenure.
func (w *work) End(bool) {
	_ = transport.Unsubscribe(w.arrivals) // an error would mean that nothing arrives any more
	w.Routine.End(errDisowned)
	w.Await()
	ended := w.stats()
	ended.Lanes, ended.Waiting = 0, 0
	w.log.past.Add(ended)
}

// stats returns what happened so far.
func (w *work) stats() core.Stats { return *w.latest.Load() }
