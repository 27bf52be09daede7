package delivery

import (
	"slices"
	"time"

	"laneway.dev/pkg/protocol"
)

// Batch returns the batch of an attempt that was made, if it has no OK yet.
func (w *Window[T]) Batch(id ID) (batch T, ok bool) {
	e := w.find(id)
	if e == nil || e.acked {
		return batch, false
	}
	return e.batch, true
}

// OK tells that an attempt was answered with success. Of a batch with several
// attempts the first OK counts, whichever attempt it answers.
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

// advanceHead moves the acked batches at the head of the queue to those to be taken.
func (w *Window[T]) advanceHead() {
	n := 0
	for n < len(w.queue) && w.queue[n].acked {
		w.acked = append(w.acked, w.queue[n].batch)
		n++
	}
	w.queue = slices.Delete(w.queue, 0, n)
	w.head += uint64(n)
	w.next = max(0, w.next-n)
	if len(w.queue) == 0 { // there is nothing to be sent again
		w.held, w.resumeAt, w.why = false, time.Time{}, nil
	}
}

// Refused tells that an attempt was answered with an error, or could not be
// made. Only the last attempt of a batch counts, and only while it is in flight:
// what an older one was refused for may be true no more.
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

// find returns the batch of an attempt that was made and is not forgotten, or nil.
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

// Disconnect tells that the connection is lost, and with it every attempt in
// flight. Nothing is sent until Reconnect. It may be called again.
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

// Reconnect tells that there is a connection.
func (w *Window[T]) Reconnect() { w.down = false }
