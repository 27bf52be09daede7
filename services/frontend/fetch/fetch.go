package fetch

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/transport"
	"laneway.dev/pkg/protocol"
	core "laneway.dev/services/frontend/core/fetch"
)

// maxControls is how many control messages wait for a fetch. Further ones wait in the NATS
// client.
const maxControls = 64

// maxJoin is how long a message with several batches is at most. Half of NATS' max_payload, if that is
// less, leaves room for the headers.
const maxJoin = 64 << 10

// fetch runs the core of one fetch. Its goroutine owns all fields except the channels.
type fetch struct {
	server    *Server
	partition *partition
	core      *core.Core
	out       *answers
	cancel    context.CancelCauseFunc

	controls     chan core.Control
	disconnected chan struct{}   // holds a token after a disconnection
	answers      chan core.Event // the answer to the question in the background

	ahead  ahead
	moves  uint64 // of the log's end, when the core last received it
	asking bool   // whether a question is being answered in the background
	loads  bool   // whether the fetch holds one of the server's slots for loads
}

// receive is the callback of a partition's fetch subject.
func (s *Server) receive(p *partition, m *nats.Msg) {
	badHeader := transport.ReadHeader(m)
	if m.Reply = protocol.ReplyTo(m.Reply); m.Reply == "" {
		s.dropped.Add(1)
		s.config.Logger.Debug("a fetch without a reply subject was dropped", zap.String("subject", m.Subject))
		return
	}
	out := newAnswers(s.config, p, m.Reply)
	if badHeader != nil {
		s.refuse(out, badHeader)
		return
	}
	request, invalid := core.Parse(m.Data)
	if invalid != nil {
		s.refuse(out, invalid)
		return
	}
	if err := s.start(p, request, out); err != nil {
		s.refuse(out, err)
	}
}

func (s *Server) refuse(out *answers, err *protocol.Error) {
	known, _, _ := out.partition.watch()
	s.end(out, core.Refuse(err, known))
}

// start starts a fetch, unless the server or the partition is closed or too many are open.
func (s *Server) start(p *partition, request core.Request, out *answers) *protocol.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return errStopped
	case p.closed != nil:
		return p.closed
	case s.open >= s.config.MaxFetches:
		return protocol.Errorf(protocol.CodeTooManyFetches, "%d are open", s.open)
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	settings := core.Settings{
		Heartbeat: s.config.Heartbeat, CreditTimeout: s.config.CreditTimeout, StorePatience: s.config.StorePatience,
		JoinBytes: min(maxJoin, int(s.config.Conn.MaxPayload())/2),
	}
	f := &fetch{
		server: s, partition: p, out: out, cancel: cancel,
		core:         core.New(p.id, request, settings, time.Now()),
		ahead:        newAhead(s),
		controls:     make(chan core.Control, maxControls),
		disconnected: make(chan struct{}, 1),
		answers:      make(chan core.Event, 1),
	}
	if request.Paced() {
		out.credit = protocol.CreditPrefix + rand.Text()
	}
	s.open++
	p.fetches[f] = struct{}{}
	s.wait.Go(func() { f.run(ctx) })
	return nil
}

// run is the fetch's goroutine. It sends the last status after the fetch is no longer
// counted as open, so that the consumer can start the next one at once.
func (f *fetch) run(ctx context.Context) {
	last := f.listenAndServe(ctx)
	f.cancel(nil)
	f.server.mu.Lock()
	f.server.open--
	delete(f.partition.fetches, f)
	f.partition.left = time.Now()
	f.server.mu.Unlock()
	f.server.end(f.out, last)
	if f.asking {
		<-f.answers
		f.asking = false
	}
	f.releaseLoads()
	f.ahead.drop()
}

// end counts the error of a fetch and sends the last status. A consumer that has the status
// finds the error in the counters.
func (s *Server) end(out *answers, last core.Status) {
	if last.Err != nil {
		s.failed(out.partition, &last)
	}
	if err := out.publish(out.status(&last), last.Next); err != nil {
		s.config.Logger.Debug("the end of a fetch could not be sent", zap.Stringer("partition", out.partition.id), zap.Error(err))
	}
}

func (s *Server) failed(p *partition, last *core.Status) {
	if last.Err.Code == protocol.CodeCreditTimeout {
		s.abandoned.Add(1) // the consumer is gone, which is not an error of the service
	} else {
		s.config.Failed(last.Err.Code)
	}
	if !last.Err.Retryable() && last.Err.Code.Kind().Status >= 500 {
		at := last.Next
		if last.GapFrom != core.Unknown {
			at = last.GapFrom
		}
		s.config.Logger.Error("a fetch failed", zap.Stringer("partition", p.id), zap.Int64("offset", at), zap.Error(last.Err))
	}
}

func (f *fetch) listenAndServe(ctx context.Context) core.Status {
	if f.out.credit == "" {
		return f.serve(ctx)
	}
	sub, err := f.server.config.Conn.Subscribe(f.out.credit, func(m *nats.Msg) { f.receiveControl(ctx, m) })
	if err != nil {
		f.cancel(protocol.Errorf(protocol.CodeUnavailable, "subscribe to credits: %v", err))
		return f.serve(ctx)
	}
	defer func() {
		// It fails only after the connection is closed, and the subscription with it.
		_ = sub.Unsubscribe()
	}()
	return f.serve(ctx)
}

// noResponders is the status of a NATS server's answer to a message without a subscriber.
const noResponders = "503"

// receiveControl is the callback for the consumer's control messages.
func (f *fetch) receiveControl(ctx context.Context, m *nats.Msg) {
	if len(m.Data) == 0 && m.Header.Get(protocol.HeaderStatus) == noResponders {
		// The consumer may be reconnecting. The credit timeout decides.
		return
	}
	select {
	case f.controls <- core.Control{Data: m.Data, Err: transport.ReadHeader(m)}:
	case <-ctx.Done():
	}
}

// serve steps the core, executes its effects, and returns the last status.
func (f *fetch) serve(ctx context.Context) core.Status {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var events []core.Event
	for {
		known, moves, changed := f.partition.watch()
		if moves != f.moves {
			f.moves = moves
			events = slices.Insert(events, 0, core.Event(core.Moved{Known: known})) // before the answer to a look-up
		}
		events = f.poll(ctx, events)
		fx := f.core.Step(time.Now(), events)
		clear(events)
		events = events[:0]
		if fx.End != nil {
			return *fx.End
		}
		if failed := f.send(fx.Send); failed != nil {
			events = append(events, *failed)
			continue
		}
		if !fx.More {
			f.releaseLoads()
		}
		if fx.Confirm && f.partition.mayHaveMissed() {
			f.server.wait.Go(func() { f.partition.confirm(ctx) })
		}
		if fx.Ask != nil {
			if answer := f.ask(ctx, fx.Ask); answer != nil {
				events = append(events, answer)
				continue
			}
		}
		if !fx.More {
			wake := fx.Wake
			if !f.asking {
				wake = f.ahead.wake(wake)
			}
			events = f.wait(ctx, timer, wake, changed, events)
		}
	}
}

// send sends messages, up to the first that cannot be sent.
func (f *fetch) send(messages []core.Message) *core.SendFailed {
	for i := range messages {
		m := &messages[i]
		if err := f.out.send(m); err != nil {
			return &core.SendFailed{Message: i, Err: err}
		}
		if m.Status == nil {
			f.server.messages.Add(1)
			f.server.bytes.Add(uint64(len(m.Data)))
		}
	}
	return nil
}

// poll appends the events that have arrived since the last step.
func (f *fetch) poll(ctx context.Context, events []core.Event) []core.Event {
	for range maxControls {
		select {
		case w := <-f.controls:
			events = append(events, w)
			continue
		case <-f.disconnected:
			events = append(events, core.Disconnected{})
			continue
		default:
		}
		break
	}
	if ctx.Err() != nil {
		events = append(events, core.Closed{Why: protocol.AsError(context.Cause(ctx))})
	}
	return events
}

// wait returns after an event, or at the time wake unless that is zero.
func (f *fetch) wait(ctx context.Context, timer *time.Timer, wake time.Time, changed <-chan struct{}, events []core.Event) []core.Event {
	var late <-chan time.Time
	if !wake.IsZero() {
		timer.Reset(time.Until(wake))
		late = timer.C
	}
	select {
	case w := <-f.controls:
		return append(events, w)
	case <-f.disconnected:
		return append(events, core.Disconnected{})
	case answer := <-f.answers:
		f.asking = false
		f.ahead.used = time.Now()
		return append(events, answer)
	case <-changed:
	case <-late:
	case <-ctx.Done():
	}
	return events
}
