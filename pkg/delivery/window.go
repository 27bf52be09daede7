package delivery

import (
	"errors"
	"slices"
	"time"

	"laneway.dev/pkg/protocol"
)

// ErrNoRoom is the error of an Add without Room.
var ErrNoRoom = errors.New("delivery: the window has no room")

// ID names an attempt to send a batch.
type ID struct {
	Batch   uint64 // number of the batch, from 0 in the order of Add
	Attempt int    // from 0
}

// Send is an attempt that is to be made now.
type Send[T any] struct {
	ID
	Batch        T
	Sequence     int32 // of the first record
	FirstUnacked int32 // at this moment
}

// Window has the batches of an idempotent producer, on one partition, that are
// not acknowledged. It belongs to one goroutine.
//
// After every call, what Next, Acked, Failed and Again have is to be taken; then the
// window wants to hear nothing until Wake.
type Window[T any] struct {
	settings Settings
	queue    []entry[T] // from the lowest batch without an OK on
	head     uint64     // number of the first batch in queue
	sequence int32      // of the next batch
	next     int        // index in queue of what is sent next

	down     bool            // disconnected
	held     bool            // a failure waits for the attempts in flight, then for resumeAt
	resumeAt time.Time       // zero while attempts are in flight
	why      *protocol.Error // the failure that began it, to be taken
	failures int             // in a row, for the backoff
	timeout  time.Duration

	acked, failed []T // to be taken
	err           error
	absent        bool // what failed is surely not in the log
}

// entry is a batch of the window.
type entry[T any] struct {
	batch    T
	sequence int32
	records  int
	added    time.Time
	attempts []attempt // all that were made
	inFlight bool      // the last one is neither answered nor given up
	acked    bool
	unclear  bool            // an attempt ended so that it may be in the log
	last     *protocol.Error // why the last attempt that failed did
}

// ended notes why an attempt failed.
func (e *entry[T]) ended(err *protocol.Error) {
	e.inFlight, e.last = false, err
	e.unclear = e.unclear || !definite(err.Code)
}

// definite says whether a batch that was refused with the code is not in the log
// for that attempt. One that is fenced may be there by a younger instance.
func definite(code protocol.Code) bool {
	switch code {
	case protocol.CodeOutcomeUnknown, protocol.CodeInvalidEpoch, protocol.CodeCorrupt:
		return false
	}
	return code.Kind() != protocol.CodeInternal.Kind() // which is that of a code unknown here
}

// attempt is what an answer to it needs.
type attempt struct {
	sent, deadline time.Time
}

// New returns an empty window.
func New[T any](settings Settings) *Window[T] {
	s := settings.complete()
	return &Window[T]{settings: s, sequence: s.First, timeout: s.MinAttemptTimeout}
}

// Room says whether a batch may be added. There is none during a retry, when
// nothing new would be sent. Without a connection there is: the batch waits for
// one, but not longer than its delivery timeout.
func (w *Window[T]) Room() bool {
	return w.err == nil && !w.held && len(w.queue) < w.settings.Batches
}

// Add takes the next batch, of at least one record. The error is ErrNoRoom, or
// that with which the window has failed; then the batch is not taken.
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

// FirstUnacked returns the first sequence of the lowest batch without an OK, or
// that of the next batch.
func (w *Window[T]) FirstUnacked() int32 {
	if len(w.queue) == 0 {
		return w.sequence
	}
	return w.queue[0].sequence
}

// Err returns the error with which the window has failed for good, which is a
// *protocol.Error; nil while it works.
func (w *Window[T]) Err() error { return w.err }

// Acked returns a batch that has got its OK, each once and in the order of Add:
// a batch waits for those before it, unless the window fails.
func (w *Window[T]) Acked() (batch T, ok bool) { return pop(&w.acked) }

// Failed returns a batch that fails with Err, each once and in the order of Add.
func (w *Window[T]) Failed() (batch T, ok bool) { return pop(&w.failed) }

func pop[T any](queue *[]T) (first T, ok bool) {
	if len(*queue) == 0 {
		return first, false
	}
	first = (*queue)[0]
	*queue = slices.Delete(*queue, 0, 1)
	return first, true
}

// Again returns why batches are going to be sent again: the first failure since
// they were sent last, once.
func (w *Window[T]) Again() (why *protocol.Error, ok bool) {
	why, w.why = w.why, nil
	return why, why != nil
}

// Absent says of a window that has failed that none of its failed batches is in
// the log: every attempt of the lowest one was refused, and none of the others
// is taken before it. Otherwise each may or may not be there.
func (w *Window[T]) Absent() bool { return w.absent }

// nothingLogged says whether what has no OK is surely not in the log.
func (w *Window[T]) nothingLogged() bool {
	for i := range w.queue {
		if w.queue[i].acked { // then those before it are there, too
			return false
		}
	}
	return len(w.queue) == 0 || !w.queue[0].unclear && !w.queue[0].inFlight
}

// fail ends the window. What has an OK is acked, although what is before it fails.
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

// Fail ends the window for a reason of its owner. It does nothing to one that has failed.
func (w *Window[T]) Fail(err *protocol.Error) {
	if w.err == nil {
		w.fail(err)
	}
}

// check asserts what holds between calls.
func (w *Window[T]) check() {
	assert(len(w.queue) <= w.settings.Batches, "the span is not exceeded")
	assert(len(w.queue) == 0 || !w.queue[0].acked, "the first batch of the queue has no OK")
	assert(w.next <= len(w.queue), "the next batch is one of the queue or comes after it")
	assert(len(w.queue) > 0 || !w.held, "only what is to be sent again holds the next batch up")
	sequence := w.FirstUnacked()
	for i := range w.queue {
		assert(w.queue[i].sequence == sequence, "sequences are consecutive")
		sequence = protocol.AddSequence(sequence, int64(w.queue[i].records))
	}
	assert(sequence == w.sequence, "the next batch follows the last one")
}
