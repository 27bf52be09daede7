package fetch

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/transport"
	"laneway.dev/pkg/protocol"
)

// fetch answers one request. Its goroutine owns everything in it but the
// account and sent.
type fetch struct {
	server    *Server
	partition *partition
	request   request
	cancel    context.CancelCauseFunc
	out       *answers
	account   *account // nil if the consumer is not asked for signs of life
	pace      pace
	sent      atomic.Bool // something was

	cursor  cursor
	limit   int64 // the fetch does not read beyond it, unless it follows
	records int64 // delivered so far, without those of a frame that lie before the start
	bytes   int64
	count   int64  // messages
	full    bool   // what was asked for is delivered
	renewed uint64 // the end of the partition, as last seen
}

// ending is how a fetch ends well.
type ending struct {
	status, description string
}

var (
	endOfPartition = ending{protocol.StatusEnd, "the end of the partition is reached"}
	endOfRequest   = ending{protocol.StatusEnd, "what was asked for is delivered"}
	nothingCame    = ending{protocol.StatusNoRecords, "nothing came in time"}
	cancelled      = ending{protocol.StatusCancelled, "the consumer has cancelled the fetch"}
)

// receive is the callback of a partition's fetch subject.
func (s *Server) receive(p *partition, m *nats.Msg) {
	badHeader := transport.ReadHeader(m)
	if m.Reply = protocol.ReplyTo(m.Reply); m.Reply == "" {
		s.dropped.Add(1)
		s.config.Logger.Debug("a fetch without a reply subject was dropped", zap.String("subject", m.Subject))
		return
	}
	out := newAnswers(s, p, m.Reply)
	if badHeader != nil {
		out.fail(badHeader)
		return
	}
	request, invalid := parse(m.Data)
	if invalid != nil {
		out.fail(invalid)
		return
	}
	if err := s.begin(p, request, out); err != nil {
		out.fail(err)
	}
}

// begin starts a fetch if there is room for it.
func (s *Server) begin(p *partition, request request, out *answers) *protocol.Error {
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
	f := &fetch{
		server: s, partition: p, request: request, cancel: cancel, out: out,
		cursor: cursor{server: s, partition: p, enough: min(max(request.WindowBytes, request.MaxBytes), maxRange)},
	}
	if request.paced() {
		now := time.Now()
		f.account = newAccount(request.WindowBytes, now)
		f.pace = pace{heartbeat: s.config.Heartbeat, patience: s.config.CreditTimeout, sent: now}
		out.credit = protocol.CreditPrefix + rand.Text()
	}
	s.open++
	p.fetches[f] = struct{}{}
	s.wait.Go(func() { f.run(ctx) })
	return nil
}

// run is the fetch's goroutine. The last status is sent when the fetch no
// longer counts as open, so that a consumer may ask again at once.
func (f *fetch) run(ctx context.Context) {
	how, err := f.listenAndServe(ctx)
	if err != nil && ctx.Err() == nil {
		err = f.orDeleted(ctx, err)
	}
	f.cancel(nil)
	f.server.mu.Lock()
	f.server.open--
	delete(f.partition.fetches, f)
	f.partition.left = time.Now()
	f.server.mu.Unlock()
	if err != nil && errors.Is(context.Cause(ctx), errLeft) {
		how, err = cancelled, nil // whatever the cancellation has interrupted
	}
	if err == nil {
		f.out.end(how)
		return
	}
	if d, ok := errors.AsType[*damaged](err); ok {
		f.out.lost(d)
	}
	f.out.fail(protocol.AsError(err))
	if known := protocol.AsError(err); !known.Retryable() && known.Code.Kind().Status >= 500 {
		f.server.config.Logger.Error("a fetch failed", zap.Stringer("partition", f.partition.id),
			zap.Int64("offset", f.cursor.offset), zap.Error(err))
	}
}

// orDeleted returns what a fetch ends with that has failed by itself. Its log may be gone,
// or be that of another topic of this name, before the deletion has been heard of.
func (f *fetch) orDeleted(ctx context.Context, err error) error {
	if protocol.AsError(err).Code.Kind().Status >= 500 && f.server.config.Gone(ctx, f.partition.id) {
		return errDeleted
	}
	return err
}

func (f *fetch) listenAndServe(ctx context.Context) (ending, error) {
	if f.account == nil {
		return f.serve(ctx)
	}
	sub, err := f.server.config.Conn.Subscribe(f.out.credit, f.word)
	if err != nil {
		return ending{}, protocol.Errorf(protocol.CodeUnavailable, "subscribe to credits: %v", err)
	}
	defer func() {
		// After a lost connection there is nothing to leave.
		_ = sub.Unsubscribe()
	}()
	return f.serve(ctx)
}

// word is the callback of what the consumer says.
func (f *fetch) word(m *nats.Msg) {
	if len(m.Data) == 0 && m.Header.Get(protocol.HeaderStatus) == noResponders {
		// NATS says that nobody has got a message. The consumer may be about to
		// connect again; its silence decides.
		return
	}
	if err := transport.ReadHeader(m); err != nil {
		f.cancel(err)
		return
	}
	switch {
	case string(m.Data) == protocol.CancelFetch:
		f.cancel(errLeft)
	case !f.account.grant(m.Data, time.Now()):
		f.cancel(protocol.Errorf(protocol.CodeInvalidRequest, "the credit %.32q is not a number of bytes", m.Data))
	}
}

// noResponders is the status with which a NATS server answers in nobody's stead.
const noResponders = "503"

func (f *fetch) serve(ctx context.Context) (ending, error) {
	f.out.at(f.request.Offset)
	if err := f.place(ctx); err != nil {
		return ending{}, err
	}
	defer func() { f.out.at(&f.cursor.offset) }()
	for {
		f.out.at(&f.cursor.offset)
		if ctx.Err() != nil {
			return ending{}, context.Cause(ctx)
		}
		if f.full {
			return endOfRequest, nil
		}
		if f.cursor.offset >= f.limit {
			if how, err := f.atEnd(ctx); err != nil || how != (ending{}) {
				return how, err
			}
			continue
		}
		if err := f.advance(ctx); err != nil {
			return ending{}, err
		}
	}
}

// atEnd waits for what may come after the limit and moves the limit. An ending
// says that nothing is to be waited for.
func (f *fetch) atEnd(ctx context.Context) (ending, error) {
	var deadline time.Time
	if !f.request.Follow {
		if f.records > 0 || f.request.wait == 0 {
			return endOfPartition, f.endDamage()
		}
		deadline = f.out.asked.Add(f.request.wait)
	}
	for {
		end, renewed, changed := f.partition.watch()
		if end.offset > f.cursor.offset {
			f.limit = end.offset
			return ending{}, nil
		}
		if end.damage != nil {
			return ending{}, &damaged{err: end.damage, from: f.cursor.offset, next: unknown}
		}
		if f.renewed != renewed {
			f.renewed = renewed
			if err := f.stillThere(ctx, end); err != nil {
				return ending{}, err
			}
			continue
		}
		late, err := f.wait(ctx, changed, deadline)
		switch {
		case err != nil:
			return ending{}, err
		case late:
			return nothingCame, nil
		}
	}
}

// advance sends the next batches, as far as the request and the credit allow.
func (f *fetch) advance(ctx context.Context) error {
	if len(f.cursor.queue) == 0 {
		limit := f.limit
		if f.request.Follow {
			limit = math.MaxInt64
		}
		return f.cursor.fill(ctx, limit)
	}
	budget, err := f.budget(ctx)
	if err != nil || f.full {
		return err
	}
	if err := f.server.loads.take(ctx, f.server.config.LogPatience); err != nil {
		return err
	}
	defer f.server.loads.give()
	for _, l := range f.cursor.load(ctx, budget) {
		if l.err != nil {
			return f.unreadable(l, l.err)
		}
		if err := f.deliver(l); err != nil || f.full {
			return f.unreadable(l, err)
		}
		f.cursor.queue = f.cursor.queue[1:]
	}
	return nil
}

// budget returns how much of what is queued may be sent now; at least one
// batch may. It waits for credit.
func (f *fetch) budget(ctx context.Context) (budget, error) {
	b := budget{bytes: maxRange, records: math.MaxInt64}
	if f.account != nil {
		credit, err := f.awaitCredit(ctx)
		if err != nil {
			return b, err
		}
		b.bytes = min(b.bytes, credit)
	}
	if f.request.MaxBytes > 0 {
		left := f.request.MaxBytes - f.bytes
		if f.request.Frames && f.count > 0 && f.cursor.queue[0].extent.Length > left {
			f.full = true
		}
		b.bytes = min(b.bytes, left)
	}
	if f.request.MaxRecords > 0 {
		b.records = f.request.MaxRecords - f.records
	}
	return b, nil
}

// awaitCredit returns the credit once there is some.
func (f *fetch) awaitCredit(ctx context.Context) (int64, error) {
	for {
		credit, words, _ := f.account.read()
		f.pace.listen(words)
		if credit > 0 && f.pace.unheard < maxUnheard {
			return credit, nil
		}
		if _, err := f.wait(ctx, f.account.wake, time.Time{}); err != nil {
			return 0, err
		}
	}
}

// wait returns when wake does, ctx ends, or, with true, at the deadline if there
// is one. Meanwhile it keeps in touch with the consumer.
func (f *fetch) wait(ctx context.Context, wake <-chan struct{}, deadline time.Time) (late bool, err error) {
	for {
		now := time.Now()
		due, err := f.tend(ctx, now)
		if err != nil {
			return false, err
		}
		if !deadline.IsZero() && (due.IsZero() || deadline.Before(due)) {
			due = deadline
		}
		timer := time.NewTimer(time.Until(due))
		select {
		case <-wake:
			timer.Stop()
			return false, nil
		case <-ctx.Done():
			timer.Stop()
			return false, context.Cause(ctx)
		case now = <-timer.C:
		}
		if !deadline.IsZero() && !now.Before(deadline) {
			return true, nil
		}
	}
}

// tend sends a heartbeat if one is due and returns when to look again; zero
// without a consumer to be in touch with.
func (f *fetch) tend(ctx context.Context, now time.Time) (time.Time, error) {
	if f.account == nil {
		return time.Time{}, nil
	}
	_, words, heard := f.account.read()
	f.pace.listen(words)
	what, due := f.pace.next(now, heard)
	switch what {
	case silent:
		return due, protocol.Errorf(protocol.CodeCreditTimeout, "nothing was heard for %s", f.pace.patience)
	case beat:
		f.partition.confirm(ctx)
		if err := f.out.heartbeat(f.cursor.since.IsZero()); err != nil {
			return due, err
		}
		f.pace.beaten(now)
		_, due = f.pace.next(now, heard)
	}
	return due, nil
}

// unconfirmed says whether the consumer may have missed something if the
// connection broke.
func (f *fetch) unconfirmed() bool {
	if f.account == nil {
		return f.sent.Load()
	}
	credit, _, _ := f.account.read()
	return credit < f.account.window
}
