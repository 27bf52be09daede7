package delivery

import (
	"slices"
	"time"

	"laneway.dev/pkg/protocol"
)

// Batch returns the batch of an attempt. ok is false if there was no such attempt, or if
// the batch has its OK already, so that another answer does not matter.
func (w *Window[T]) Batch(id ID) (batch T, ok bool) {
	e := w.find(id)
	if e == nil || e.acked {
		return batch, false
	}
	return e.batch, true
}

// OK reports that an attempt was answered with success. Any attempt of a batch counts,
// even one that has timed out: all of them have the same records, so the batch is in the
// log. A second OK of a batch is ignored.
func (w *Window[T]) OK(now time.Time, id ID) {
	e := w.find(id)
	if e == nil || e.acked {
		return
	}
	e.acked, e.inFlight = true, false
	latency := now.Sub(e.attempts[id.Attempt].sent)
	w.timeout = max(w.settings.MinAttemptTimeout, min(4*latency, w.settings.MaxAttemptTimeout))
	w.failures = 0
	w.advanceHead()
	w.pause(now)
	w.check()
}

// advanceHead moves the batches with an OK at the head of the queue to those that Acked
// returns.
func (w *Window[T]) advanceHead() {
	n := 0
	for n < len(w.queue) && w.queue[n].acked {
		w.acked = append(w.acked, w.queue[n].batch)
		n++
	}
	w.queue = slices.Delete(w.queue, 0, n)
	w.head += uint64(n)
	w.next = max(0, w.next-n)
	if len(w.queue) == 0 { // nothing is left to be sent again, so nothing to wait for
		w.held, w.resumeAt, w.why = false, time.Time{}, nil
	}
}

// Refused reports that an attempt was answered with an error, or could not be made. A
// retryable error holds the window; any other error fails it for good.
//
// Only the last attempt of a batch counts, and only while it is in flight. The refusal of
// an older attempt may not apply to the newer one: for example, the older one was out of
// order, and the newer one is not.
func (w *Window[T]) Refused(now time.Time, id ID, err *protocol.Error) {
	e := w.find(id)
	if e == nil || !e.inFlight || id.Attempt != len(e.attempts)-1 {
		return
	}
	e.ended(err)
	if !err.Retryable() {
		w.fail(err)
		return
	}
	w.hold(now, err)
	w.check()
}

// find returns the batch of an attempt, or nil if there was no such attempt or the batch
// has left the queue.
func (w *Window[T]) find(id ID) *entry[T] {
	if id.Batch < w.head || id.Batch-w.head >= uint64(len(w.queue)) {
		return nil
	}
	e := &w.queue[id.Batch-w.head]
	if id.Attempt < 0 || id.Attempt >= len(e.attempts) {
		return nil
	}
	return e
}

// Disconnect reports that the connection is lost. The attempts in flight may have
// arrived, but their answers are lost, so their outcomes are unknown. Nothing is sent
// until Reconnect. Disconnect may be called repeatedly.
func (w *Window[T]) Disconnect(now time.Time) {
	w.down = true
	if w.err != nil {
		return
	}
	for i := range w.queue {
		if e := &w.queue[i]; e.inFlight {
			e.ended(protocol.NewError(protocol.CodeOutcomeUnknown, "the connection was lost"))
			w.hold(now, e.last)
		}
	}
	w.pause(now)
	w.check()
}

// Reconnect reports that there is a connection again.
func (w *Window[T]) Reconnect() { w.down = false }
