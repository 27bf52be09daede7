package delivery

import (
	"errors"
	"slices"
	"time"

	"laneway.dev/pkg/protocol"
)

// ErrNoRoom is the error of Add when the window has no room.
var ErrNoRoom = errors.New("delivery: the window has no room")

// ID names an attempt to send a batch.
type ID struct {
	Batch   uint64 // number of the batch, counted from 0 in the order of Add
	Attempt int    // number of the attempt, counted from 0 for each batch
}

// Send is an attempt to make now.
type Send[T any] struct {
	ID
	Batch        T
	Sequence     int32 // producer sequence of the batch's first record
	FirstUnacked int32 // producer sequence of the lowest batch without an OK
}

// Window has the batches of an idempotent producer on one partition that are not
// acknowledged. It is not safe for concurrent use.
//
// The owner reports every event with Add, OK, Refused, Disconnect, Reconnect or
// Advance. After each of these calls it MUST call Next, Acked, Failed and Again until
// they return nothing more. Then the window needs no call until the next event, or until
// the time that Wake returns.
//
// Promises:
//
//   - A batch leaves the window once: through Acked, if it is in the log, or through
//     Failed.
//   - Acked returns batches in the order of Add, unless the window fails.
//   - A window that has failed sends nothing and accepts nothing.
type Window[T any] struct {
	settings Settings
	queue    []entry[T] // batches from the lowest one without an OK on
	head     uint64     // number of the batch queue[0]
	sequence int32      // producer sequence of the next batch to add
	next     int        // index in queue of the batch to send next

	down     bool            // disconnected
	held     bool            // after a failure: wait for the attempts in flight, then until resumeAt
	resumeAt time.Time       // zero while attempts are in flight
	why      *protocol.Error // the failure that started it, until Again takes it
	failures int             // in a row, for the backoff
	timeout  time.Duration   // of the next attempt

	acked, failed []T   // until Acked and Failed take them
	err           error // why the window has failed
	absent        bool  // the failed batches are certainly not in the log
}

// entry is a batch of the window.
type entry[T any] struct {
	batch    T
	sequence int32 // producer sequence of its first record
	records  int
	added    time.Time
	attempts []attempt       // all that were made
	inFlight bool            // the last attempt has not ended
	acked    bool            // it has its OK
	unclear  bool            // an attempt failed that may nevertheless be in the log
	last     *protocol.Error // of the last attempt that failed
}

// ended records that the last attempt failed.
func (e *entry[T]) ended(err *protocol.Error) {
	e.inFlight, e.last = false, err
	e.unclear = e.unclear || !definite(err.Code)
}

// definite reports whether a refusal with this code means that the attempt has not put
// the batch into the log. A fenced batch may be in the log: a newer instance of the
// producer may have sent the same records.
func definite(code protocol.Code) bool {
	switch code {
	case protocol.CodeOutcomeUnknown, protocol.CodeInvalidEpoch, protocol.CodeCorrupt:
		return false
	}
	return code.Kind() != protocol.CodeInternal.Kind() // of which the kind is also used for codes unknown here
}

// attempt is what the window keeps of an attempt.
type attempt struct {
	sent, deadline time.Time
}

// New returns an empty window.
func New[T any](settings Settings) *Window[T] {
	s := settings.complete()
	return &Window[T]{settings: s, sequence: s.First, timeout: s.MinAttemptTimeout}
}

// Room reports whether a batch may be added. There is no room while the window is held:
// the batch would not be sent, and its owner can add records to it in the meantime. There
// is room while the window is disconnected, so that the delivery timeout of the batch
// starts.
func (w *Window[T]) Room() bool {
	return w.err == nil && !w.held && len(w.queue) < w.settings.Batches
}

// Add adds the next batch, which has at least one record. After an error the batch was
// not added: the error is ErrNoRoom, or that of Err.
func (w *Window[T]) Add(now time.Time, batch T, records int) error {
	switch {
	case w.err != nil:
		return w.err
	case !w.Room():
		return ErrNoRoom
	}
	assert(records > 0, "a batch has records")
	w.queue = append(w.queue, entry[T]{batch: batch, sequence: w.sequence, records: records, added: now})
	w.sequence = protocol.AddSequence(w.sequence, int64(records))
	w.check()
	return nil
}

// Unacked returns the number of batches without an OK.
func (w *Window[T]) Unacked() int {
	n := 0
	for i := range w.queue {
		if !w.queue[i].acked {
			n++
		}
	}
	return n
}

// FirstUnacked returns the producer sequence of the lowest batch without an OK, or that
// of the next batch if all have their OK.
func (w *Window[T]) FirstUnacked() int32 {
	if len(w.queue) == 0 {
		return w.sequence
	}
	return w.queue[0].sequence
}

// Err returns the error with which the window has failed for good. It is a
// *protocol.Error, or nil while the window works.
func (w *Window[T]) Err() error { return w.err }

// Acked returns a batch that is in the log: each one once, in the order of Add. A batch
// with an OK waits for those before it, unless the window fails.
func (w *Window[T]) Acked() (batch T, ok bool) { return pop(&w.acked) }

// Failed returns a batch that has failed with Err: each one once, in the order of Add.
func (w *Window[T]) Failed() (batch T, ok bool) { return pop(&w.failed) }

func pop[T any](queue *[]T) (first T, ok bool) {
	if len(*queue) == 0 {
		return first, false
	}
	first = (*queue)[0]
	*queue = slices.Delete(*queue, 0, 1)
	return first, true
}

// Again returns why batches are going to be sent again: the earliest failure since they
// were sent last. It returns each failure once.
func (w *Window[T]) Again() (why *protocol.Error, ok bool) {
	why, w.why = w.why, nil
	return why, why != nil
}

// Absent reports whether it is certain that none of the failed batches of the window is in
// the log. It is if every attempt of the lowest one was refused, because the partition
// accepts no batch before it. Otherwise each of them may or may not be in the log.
func (w *Window[T]) Absent() bool { return w.absent }

// nothingLogged reports whether the batches without an OK are surely not in the log.
func (w *Window[T]) nothingLogged() bool {
	for i := range w.queue {
		if w.queue[i].acked { // then those before it are in the log, too
			return false
		}
	}
	return len(w.queue) == 0 || !w.queue[0].unclear && !w.queue[0].inFlight
}

// fail fails the window. Batches with an OK count as acked even if a batch before them
// fails: they are in the log.
func (w *Window[T]) fail(err *protocol.Error) {
	w.err, w.absent = err, w.nothingLogged()
	for i := range w.queue {
		if e := &w.queue[i]; e.acked {
			w.acked = append(w.acked, e.batch)
		} else {
			w.failed = append(w.failed, e.batch)
		}
	}
	w.queue, w.next, w.why = nil, 0, nil
}

// Fail fails the window for a reason of its owner. A window that has failed keeps its
// error.
func (w *Window[T]) Fail(err *protocol.Error) {
	if w.err == nil {
		w.fail(err)
	}
}

// check asserts the invariants that hold between calls.
func (w *Window[T]) check() {
	assert(len(w.queue) <= w.settings.Batches, "the span is not exceeded")
	assert(len(w.queue) == 0 || !w.queue[0].acked, "the first batch of the queue has no OK")
	assert(w.next <= len(w.queue), "the next batch is one of the queue or comes after it")
	assert(len(w.queue) > 0 || !w.held, "a window is held only while a batch is to be sent again")
	sequence := w.FirstUnacked()
	for i := range w.queue {
		assert(w.queue[i].sequence == sequence, "sequences are consecutive")
		sequence = protocol.AddSequence(sequence, int64(w.queue[i].records))
	}
	assert(sequence == w.sequence, "the next batch follows the last one")
}
