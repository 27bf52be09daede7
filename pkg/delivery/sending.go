package delivery

import (
	"fmt"
	"strings"
	"time"

	"laneway.dev/pkg/protocol"
)

// Next returns the next attempt to make. ok is false if nothing is to be sent now. The
// caller MUST make the attempt before it calls Next again, or report with Refused that
// this was not possible: a batch whose predecessor was not sent would arrive out of
// order.
func (w *Window[T]) Next(now time.Time) (send Send[T], ok bool) {
	w.Advance(now)
	if w.err != nil || w.held || w.down {
		return send, false
	}
	for w.next < len(w.queue) {
		i := w.next
		w.next++
		if !w.queue[i].acked {
			return w.attempt(now, i), true
		}
	}
	return send, false
}

// attempt records a new attempt of the i-th batch in the queue.
func (w *Window[T]) attempt(now time.Time, i int) Send[T] {
	e := &w.queue[i]
	assert(!e.inFlight, "one attempt of a batch is in flight")
	e.inFlight = true
	e.attempts = append(e.attempts, attempt{sent: now, deadline: now.Add(w.timeout)})
	return Send[T]{
		ID:    ID{Batch: w.head + uint64(i), Attempt: len(e.attempts) - 1},
		Batch: e.batch, Sequence: e.sequence, FirstUnacked: w.FirstUnacked(),
	}
}

// Advance moves the window to a time. Attempts may time out, a pause may end, and the
// window may fail because its lowest batch exceeds the delivery timeout. Next does the
// same.
func (w *Window[T]) Advance(now time.Time) {
	if w.err != nil || len(w.queue) == 0 {
		return
	}
	w.expire(now)
	if lowest := &w.queue[0]; !now.Before(lowest.added.Add(w.settings.DeliveryTimeout)) {
		w.fail(w.tooLate(lowest, w.nothingLogged()))
		return
	}
	if w.held && !w.resumeAt.IsZero() && !now.Before(w.resumeAt) {
		w.held, w.resumeAt, w.next = false, time.Time{}, 0
	}
	w.check()
}

// expire ends the attempts that were not answered in time, and doubles the timeout of
// later ones. Otherwise, under overload, every answer could arrive after its timeout, and
// the retries would add to the overload.
func (w *Window[T]) expire(now time.Time) {
	for i := range w.queue {
		e := &w.queue[i]
		if !e.inFlight {
			continue
		}
		a := e.attempts[len(e.attempts)-1]
		if now.Before(a.deadline) {
			continue
		}
		waited := a.deadline.Sub(a.sent)
		// Attempts that were sent together double the timeout once, not once each.
		w.timeout = max(w.timeout, min(2*waited, w.settings.MaxAttemptTimeout))
		e.ended(protocol.Errorf(protocol.CodeOutcomeUnknown, "no answer arrived within %s", waited))
		w.hold(now, e.last)
	}
}

// tooLate returns the error of a batch that was not acknowledged in time. If the batch is
// certainly not in the log, the error has the code of its last refusal, which names the
// cause. Otherwise the code is OUTCOME_UNKNOWN.
func (w *Window[T]) tooLate(e *entry[T], absent bool) *protocol.Error {
	tried := fmt.Sprintf("given up after %s, in %d attempts", w.settings.DeliveryTimeout, len(e.attempts))
	if len(e.attempts) == 1 {
		tried = strings.TrimSuffix(tried, "s")
	}
	switch {
	case len(e.attempts) == 0:
		return protocol.NewError(protocol.CodeUnavailable, tried+": it was never sent")
	case absent && e.last.Detail == "":
		return protocol.NewError(e.last.Code, tried)
	case absent:
		return protocol.NewError(e.last.Code, tried+": "+e.last.Detail)
	case e.last == nil:
		return protocol.NewError(protocol.CodeOutcomeUnknown, tried+": nothing was answered")
	}
	return protocol.NewError(protocol.CodeOutcomeUnknown, tried+"; the last one ended with "+e.last.Error())
}

// hold stops sending after a failure. The pause starts when nothing is in flight any more.
func (w *Window[T]) hold(now time.Time, err *protocol.Error) {
	if !w.held {
		w.held, w.why = true, err
	}
	w.pause(now)
}

// pause starts the pause of a held window if nothing is in flight.
func (w *Window[T]) pause(now time.Time) {
	if !w.held || !w.resumeAt.IsZero() {
		return
	}
	for i := range w.queue {
		if w.queue[i].inFlight {
			return
		}
	}
	w.resumeAt = now.Add(w.backoff())
}

// backoff returns the length of the pause. It is random over the whole bound, so that
// producers that failed at the same time do not retry at the same time.
func (w *Window[T]) backoff() time.Duration {
	bound := w.settings.MinBackoff
	for range w.failures {
		if bound = min(2*bound, w.settings.MaxBackoff); bound == w.settings.MaxBackoff {
			break
		}
	}
	w.failures++
	return time.Duration(w.settings.Random() * float64(bound))
}

// Wake returns when Next or Advance must be called at the latest, if no other event
// comes before. ok is false if the window waits for nothing.
func (w *Window[T]) Wake() (at time.Time, ok bool) {
	if len(w.queue) == 0 {
		return at, false
	}
	at = w.queue[0].added.Add(w.settings.DeliveryTimeout)
	for i := range w.queue {
		if e := &w.queue[i]; e.inFlight {
			at = earlier(at, e.attempts[len(e.attempts)-1].deadline)
		}
	}
	if w.held && !w.down && !w.resumeAt.IsZero() {
		at = earlier(at, w.resumeAt)
	}
	return at, true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
