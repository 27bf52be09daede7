// Package reading decides what the consumer of a partition requests next, what it accepts of
// the answers, what it does after each status, and when it grants credit, so that it gets every
// record once and in order.
//
// The owner of a [Reader] reports to it what arrives, and sends what it returns. The reader
// never sends, waits or reads a clock itself. The same code therefore runs in a client and
// in a simulator, as that of [laneway.dev/pkg/delivery] does for producers.
//
// A fetch can end early at any time: its frontend is replaced, a connection breaks, a message
// is lost. The next fetch then starts at the offset after the last record that was delivered.
// An example, with frames of ten records:
//
//	Request        offset 0
//	Accept 0-9     delivered
//	Accept 10-19   delivered
//	Status         a heartbeat with next offset 40: two frames are lost, so leave the fetch
//	Request        offset 20
package reading

import (
	"fmt"

	"laneway.dev/pkg/protocol"
)

// creditMessages is the number of messages after which credit is due at the latest, because
// messages may be tiny.
const creditMessages = 4096

// Reader tracks how far a partition was read, over all fetches. It belongs to one goroutine.
type Reader struct {
	next      int64 // the offset of the next record
	placed    bool  // next is known
	given     bool  // next is the offset that StartAt has set
	delivered int64 // records

	limit  int64 // records that are wanted; 0 means all
	follow bool

	// Of the current fetch.
	window    int64
	fresh     bool  // nothing was delivered
	processed int64 // bytes
	credited  int64 // those of them that the last credit has named
	messages  int   // since the last credit
}

// StartAt sets the offset of the first record. Without it, the reader starts at the place
// that the first request names. An offset that the partition does not have is an error if it was
// set here. If it follows what was delivered, its record was deleted meanwhile.
func (r *Reader) StartAt(offset int64) { r.next, r.placed, r.given = offset, true, true }

// Starts records the offset at which a fetch has started. If the request does not name that
// offset, every message of the fetch does. Without it, the reader could not notice that
// messages before the first one that arrives were lost.
func (r *Reader) Starts(offset int64) {
	if !r.placed {
		r.next, r.placed = offset, true
	}
}

// Next returns the offset of the next record, if it is known.
func (r *Reader) Next() (offset int64, known bool) { return r.next, r.placed }

// Delivered returns how many records were delivered.
func (r *Reader) Delivered() int64 { return r.delivered }

// Complete reports whether as many records were delivered as the requests want. The consumer
// then cancels the fetch and MUST NOT send another request.
func (r *Reader) Complete() bool { return r.limit > 0 && r.delivered >= r.limit }

// Request starts another fetch and returns its request. wanted is the request for a reader
// that has delivered nothing. Once the next offset is known, it replaces the place that
// wanted names, because "latest" is another place in each request.
func (r *Reader) Request(wanted protocol.FetchRequest) protocol.FetchRequest {
	r.limit, r.follow = wanted.MaxRecords, wanted.Follow
	r.window, r.fresh, r.processed, r.credited, r.messages = wanted.WindowBytes, true, 0, 0, 0
	if wanted.MaxRecords > 0 {
		wanted.MaxRecords -= r.delivered
	}
	if r.placed {
		next := r.next
		wanted.Offset, wanted.From, wanted.Time = &next, "", nil
	}
	return wanted
}

// Lost reports that messages of a fetch are missing. Another fetch gets them.
type Lost struct{ reason string }

func (l *Lost) Error() string { return l.reason }

func lost(format string, arguments ...any) error { return &Lost{fmt.Sprintf(format, arguments...)} }

// Accept checks that a frame of count records at an offset follows the last delivered record,
// and returns the offset of the first record to deliver. Only the first frame of a fetch may
// start below the next offset: a frame is always sent whole, and the next offset may be
// within it. The error is a [*Lost].
func (r *Reader) Accept(offset, count int64) (from int64, err error) {
	if !r.placed {
		return offset, nil
	}
	if end := offset + count; offset > r.next || end <= r.next || !r.fresh && offset != r.next {
		return 0, lost("offset %d was expected, but a batch of %d records at offset %d arrived", r.next, count, offset)
	}
	return r.next, nil
}

// Took records that the records of an accepted frame were delivered, and reports whether a
// credit is due.
func (r *Reader) Took(from, next int64, bytes int) (credit bool) {
	r.advance(next)
	r.delivered += next - from
	r.processed += int64(bytes)
	r.messages++
	return r.processed-r.credited >= r.window/4 || r.messages >= creditMessages
}

// gap checks that a gap from offset first to offset last, both included, follows the last
// delivered record. The error is a [*Lost].
func (r *Reader) gap(first, last int64) error {
	if last < first || r.placed && first != r.next {
		return lost("offset %d was expected, but the frontend reports a gap from %d to %d", r.next, first, last)
	}
	return nil
}

// Passed records that a gap was delivered, after Status has returned PassGap, PassDeleted or
// PassDamage.
func (r *Reader) Passed(last int64) { r.advance(last + 1) }

func (r *Reader) advance(next int64) { r.next, r.placed, r.given, r.fresh = next, true, false, false }

// place compares the next offset of the frontend, if the status names it, with that of the
// reader. If the reader has none yet, it starts at the offset of the frontend: a fetch from
// "latest" must continue there. The error is a [*Lost].
func (r *Reader) place(next int64) error {
	switch {
	case next < 0:
	case !r.placed: // nothing was sent yet
		r.Starts(next)
	case next > r.next:
		return lost("offset %d was expected, but the frontend is at %d", r.next, next)
	}
	return nil
}

// Credit returns the credit to publish. It is the number of all bytes of the fetch that were
// processed, so that it includes credits that were lost. It is due when Took reports so, and
// in answer to a heartbeat.
func (r *Reader) Credit() int64 { return r.processed }

// Credited records that the credit was published.
func (r *Reader) Credited() { r.credited, r.messages = r.processed, 0 }
