package journal

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/messages"
)

const (
	// tick is how often the actor takes a turn without events.
	tick = time.Second
	// attemptTimeout bounds an append and a read. After an append without an answer, the journal is
	// read to find out what became of it. That, and the repetition of a read, wait for retryPause.
	attemptTimeout = 5 * time.Second
	retryPause     = 200 * time.Millisecond
)

// result is the end of an append.
type result struct {
	sent  *nats.Msg // the append
	event core.Event
}

// run is the goroutine of the journal. When it ends, every call is answered.
func (j *Journal) run(ctx context.Context) {
	defer j.work.Wait()
	defer j.endReads()
	defer j.publisher.CleanupPublisher()
	lost := j.config.Conn.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	defer j.config.Conn.RemoveStatusListener(lost)
	j.work.Go(func() { j.watch(ctx, lost) })
	j.execute(ctx, j.core.Start())
	j.mailbox.Run(ctx, tick, func(now time.Time, received []any) bool {
		j.turn(ctx, received)
		j.maybePurge(ctx, now)
		return true
	})
	left := []any{core.ReadFailed{Err: context.Cause(ctx)}} // so that the answers say why
	for _, id := range slices.Sorted(maps.Keys(j.calls)) {
		left = append(left, withdrawal{j.calls[id]})
	}
	j.turn(ctx, left)
	for _, e := range j.mailbox.Rest() {
		if c, is := e.(*call); is {
			j.answer(c, core.Done{Err: errors.Join(core.ErrWithdrawn, context.Cause(ctx))})
		}
	}
}

// watch ends a read when the connection is lost: its answer cannot arrive any more.
func (j *Journal) watch(ctx context.Context, lost <-chan nats.Status) {
	for {
		select {
		case <-lost:
			if interrupt := j.interrupt.Load(); interrupt != nil {
				(*interrupt)()
			}
		case <-ctx.Done():
			return
		}
	}
}

// turn handles what has come.
func (j *Journal) turn(ctx context.Context, received []any) {
	events := make([]core.Event, 0, len(received))
	var asked []*call // that the index answers as it is
	ends := false
	for _, e := range received {
		switch e := e.(type) {
		case *call:
			if e.event == nil && j.complete {
				asked = append(asked, e)
				continue
			}
			if e.event == nil { // or a log would seem to end where the first read has come to
				e.event = func(id uint64) core.Event { return core.Look{ID: id} }
			}
			j.trims = j.trims || e.trims
			j.ids++
			e.id = j.ids
			j.calls[e.id] = e
			events = append(events, e.event(e.id))
		case withdrawal:
			events = append(events, core.Withdraw{ID: e.call.id})
		case result:
			if e.sent == j.sent { // else its end was known before
				j.sent = nil
				events = append(events, e.event)
			}
		case purged:
			j.purging, j.purgedAt, j.purgeErr = false, e.at, e.err
		case core.Groups:
			ends = ends || e.AtEnd
			events = append(events, e)
		default:
			events = append(events, e)
		}
	}
	j.execute(ctx, j.core.Step(events))
	j.complete = j.complete || ends
	for _, c := range asked {
		j.answer(c, core.Done{})
	}
}

// execute does what the core asks for.
func (j *Journal) execute(ctx context.Context, fx core.Effects) {
	for _, d := range fx.Done {
		c := j.calls[d.ID]
		delete(j.calls, d.ID)
		j.answer(c, d)
	}
	if fx.Append != nil {
		j.append(fx.Append)
	}
	if fx.Read != 0 {
		j.work.Go(func() { j.read(ctx, fx.Read) })
	}
}

// answer answers a call.
func (j *Journal) answer(c *call, done core.Done) {
	if c.done = done; done.Err == nil && c.ask != nil {
		c.ask(j.core.Index())
	}
	if c.then != nil {
		c.then(done)
	}
	close(c.answered)
}

// newPublisher returns what appends groups. It puts each answer of JetStream into the mailbox, so that no
// goroutine waits for one.
func (j *Journal) newPublisher() (jetstream.JetStream, error) {
	return jetstream.New(j.config.Conn, jetstream.WithPublishAsyncTimeout(attemptTimeout),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, sent *nats.Msg, ack *jetstream.PubAck) {
			_ = j.mailbox.Add(result{sent, core.Appended{Sequence: ack.Sequence}}) // an error means that the actor has ended
		}),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, sent *nats.Msg, err error) { j.appendFailed(sent, err) }))
}

// append appends a group. Only an answer of JetStream proves that it was not appended.
func (j *Journal) append(a *core.Append) {
	j.sent = &nats.Msg{Subject: j.subject, Data: messages.EncodeGroup(a.Group)}
	_, err := j.publisher.PublishMsgAsync(j.sent,
		jetstream.WithExpectLastSequence(a.Expected), jetstream.WithExpectStream(j.stream), jetstream.WithRetryAttempts(0))
	if err != nil {
		j.appendFailed(j.sent, err)
	}
}

// appendFailed reports that an append has failed.
func (j *Journal) appendFailed(sent *nats.Msg, err error) {
	failed := result{sent, core.AppendFailed{Moved: kvbucket.IsConflict(err), Err: err}}
	report := func() { _ = j.mailbox.Add(failed) } // an error means that the actor has ended
	if kvbucket.IsConflict(err) {
		report()
	} else {
		time.AfterFunc(retryPause, report)
	}
}

// read reads the journal from a sequence on, until it succeeds.
func (j *Journal) read(ctx context.Context, from uint64) {
	for ; ctx.Err() == nil; pause(ctx, retryPause) {
		bounded, cancel := context.WithTimeout(ctx, attemptTimeout)
		j.interrupt.Store(&cancel)
		groups, err := j.readOnce(bounded, from)
		cancel()
		if err == nil {
			_ = j.mailbox.Add(groups) // likewise
			return
		}
		_ = j.mailbox.Add(core.ReadFailed{Err: err}) // likewise
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
