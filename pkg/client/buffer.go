package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/protocol"
)

// buffer holds the records that were accepted and are not yet acknowledged. Goroutines
// that publish fill batches; the sender takes and settles them.
type buffer struct {
	options  ProducerOptions
	work     chan struct{} // one token tells the sender that there may be a batch to take
	mu       sync.Mutex    // guards what follows
	frame    int           // bytes that a frame of several records may have
	queues   []queue       // by target
	order    []int         // targets whose queues have batches, the one with the oldest batch first
	flying   int           // bytes of batches that were taken and are not acknowledged
	sticky   int           // the target of records without a key
	room     int           // bytes in use
	freed    chan struct{} // closed when room is freed or the producer ends; nil without waiters
	pending  []*batch      // by number; the first one is not settled, later ones may be
	counters Summary
	closed   bool  // no further record is accepted
	err      error // why the producer has ended
}

// queue has the batches of a target that the sender has not taken.
type queue struct {
	sealed []*batch
	open   *batch // the batch that is being filled, or nil
}

// put adds a record to the batch of a target. With anyTarget, the target is the one
// whose turn it is.
func (b *buffer) put(ctx context.Context, target int, r protocol.Record) (Future, error) {
	size := frameSize(&r)
	if err := b.lock(ctx, size); err != nil {
		return Future{}, err
	}
	defer b.mu.Unlock()
	bt := b.open(ctx, target, size)
	index := bt.append(r, size)
	b.room += size
	b.counters.Records++
	b.counters.Bytes += int64(r.Size())
	if bt.records >= b.options.BatchRecords || bt.builder.Size() >= b.frame {
		b.seal(bt.target)
		b.wakeSender()
	}
	return Future{bt, index}, nil
}

// lock waits until the buffer has room for a record, and returns with the buffer
// locked. An empty buffer has room for any record, however large. After an error
// the buffer is not locked.
func (b *buffer) lock(ctx context.Context, size int) error {
	b.mu.Lock()
	for !b.ended() && b.room > 0 && b.room+size > b.options.BufferBytes {
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		// Only acknowledgements free room, so batches that linger must be sent.
		b.hurry()
		b.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
		b.mu.Lock()
	}
	if !b.ended() {
		return nil
	}
	defer b.mu.Unlock()
	return b.reason()
}

func (b *buffer) ended() bool { return b.closed || b.err != nil }

// reason returns why no record is accepted, or nil.
func (b *buffer) reason() error {
	if b.err == nil && b.closed {
		return ErrClosed
	}
	return b.err
}

// open returns a batch with room for a record of a target. Records without a key
// fill the batch of one target before they go to the next one, so that batches stay
// large.
func (b *buffer) open(ctx context.Context, target, size int) *batch {
	for {
		at := target
		if at == anyTarget {
			at = b.sticky
		}
		open := b.queues[at].open
		switch {
		case open == nil:
			return b.create(ctx, at)
		case open.builder.Size()+size <= b.frame:
			return open
		}
		b.seal(at)
	}
}

// create opens a new batch for a target. The sender must know about it, because it
// decides when a batch has lingered.
func (b *buffer) create(ctx context.Context, target int) *batch {
	bt := newBatch(target, b.counters.Records, trace.SpanContextFromContext(ctx))
	if len(b.queues[target].sealed) == 0 {
		b.order = append(b.order, target)
	}
	b.queues[target].open = bt
	b.pending = append(b.pending, bt)
	b.wakeSender()
	return bt
}

// seal completes the open batch of a target. Records without a key then go to the
// next target.
func (b *buffer) seal(target int) {
	q := &b.queues[target]
	q.sealed = append(q.sealed, q.open)
	q.open = nil
	if target == b.sticky {
		b.sticky = (target + 1) % len(b.queues)
	}
}

func (b *buffer) wakeSender() {
	select {
	case b.work <- struct{}{}:
	default: // there is a token already
	}
}

// hurry makes open batches ready to be sent without lingering.
func (b *buffer) hurry() {
	for i := range b.queues {
		if open := b.queues[i].open; open != nil {
			open.hurried = true
		}
	}
	b.wakeSender()
}

// take returns the oldest batch that can be sent: its target has room for it, and it is full or has
// lingered. If there is none because batches linger, due is when the first of them may be sent; else it
// is zero.
//
// If there are several targets, a batch that is not full waits while half of the buffer is in flight.
// Otherwise each acknowledgement would release a few records to as many targets, until every record
// travels in a batch of its own.
//
// take joins full batches that wait, up to the current size of a frame: after the batches have
// grown, a large buffer still has many of the previous size.
func (b *buffer) take(now time.Time, room func(target int) bool) (bt *batch, due time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	gather := len(b.queues) > 1 && b.flying > b.options.BufferBytes/2
	for i, target := range b.order {
		q := &b.queues[target]
		if len(q.sealed) == 0 && gather || !room(target) {
			continue
		}
		if len(q.sealed) == 0 {
			if at := q.open.created.Add(b.options.Linger); now.Before(at) && !q.open.hurried {
				due = earlier(due, at)
				continue
			}
			b.seal(target)
		}
		bt, taken := q.sealed[0], 1
		for taken < len(q.sealed) && bt.fits(q.sealed[taken], b.frame, b.options.BatchRecords) {
			bt.join(q.sealed[taken])
			taken++
		}
		q.sealed = slices.Delete(q.sealed, 0, taken)
		if len(q.sealed) == 0 && q.open == nil {
			b.order = slices.Delete(b.order, i, i+1)
		}
		b.flying += bt.room
		return bt, time.Time{}
	}
	return nil, due
}

// earlier returns the earlier of two times. Zero means none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// errUnacked is the error of records that were not acknowledged when their producer
// was closed.
var errUnacked = fmt.Errorf("%w before every record was acknowledged", ErrClosed)

// sent counts an attempt.
func (b *buffer) sent(again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if again {
		b.counters.Retries++
	} else {
		b.counters.Batches++
	}
}

// resize changes the size up to which batches are filled, and full ones are joined.
func (b *buffer) resize(frame int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frame = frame
}

// waiting reports whether full batches of a target wait to be taken, or records wait for room.
func (b *buffer) waiting(target int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == nil && len(b.queues[target].sealed) > 0 || b.freed != nil
}

// acked settles a batch that is in the log, and frees its room.
func (b *buffer) acked(bt *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counters.acked(bt)
	b.room -= bt.room
	b.flying -= bt.room
	bt.settle()
	n := 0
	for n < len(b.pending) && b.pending[n].settled() {
		b.pending[n] = nil
		n++
	}
	b.pending = b.pending[n:]
	b.wakePublishers()
}

// wakePublishers wakes the goroutines that wait for room.
func (b *buffer) wakePublishers() {
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// end ends the buffer with an error. It fails the batches that are not
// acknowledged, and returns them.
func (b *buffer) end(err error) (failed []*batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bt := range b.pending {
		if !bt.settled() {
			failed = append(failed, bt)
		}
	}
	if err == ErrClosed && len(failed) > 0 { //nolint:errorlint // only this very error means success
		err = errUnacked
	}
	for _, bt := range failed {
		if !bt.settled() { // a joined batch is settled with the one that sends its records
			bt.err = err
			bt.settle()
		}
	}
	b.err, b.pending, b.queues, b.order = err, nil, nil, nil
	b.counters.FirstUnacked = b.firstUnacked(failed)
	b.wakePublishers()
	return failed
}

// firstUnacked returns the number of the first record without an acknowledgement.
// pending is sorted by number, and its first batch is not settled.
func (b *buffer) firstUnacked(pending []*batch) int64 {
	if len(pending) > 0 {
		return pending[0].number
	}
	return b.counters.Records
}

// failure returns the error of the producer when a batch of target has failed.
func (b *buffer) failure(target protocol.Partition, absent bool, err *protocol.Error) *ProduceError {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &ProduceError{
		Topic: target.Topic, Partition: target.Number, FirstFailed: b.firstUnacked(b.pending),
		Records: b.counters.Records - b.counters.AckedRecords, Absent: absent, Err: err,
	}
}

// flush stops all lingering, and returns the batches to wait for.
func (b *buffer) flush() []*batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hurry()
	return slices.Clone(b.pending)
}

// shut makes the buffer reject further records.
func (b *buffer) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.wakePublishers()
}

// why returns why no record is accepted, or nil.
func (b *buffer) why() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reason()
}

// summary returns a copy of the counters.
func (b *buffer) summary() Summary {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.counters
	s.Offsets = slices.Clone(s.Offsets)
	if b.err == nil {
		s.FirstUnacked = b.firstUnacked(b.pending)
	}
	return s
}

// Summary counts what a producer has done.
type Summary struct {
	// Records and Bytes were accepted by Publish. Bytes counts values and headers.
	Records, Bytes int64
	Batches        int64 // sent at least once
	Retries        int64 // attempts beyond the first one of each batch

	AckedRecords, AckedBytes, AckedBatches int64
	// Duplicates counts acknowledged batches that were already in the log when they
	// were sent again.
	Duplicates int64

	// FirstUnacked is the number of the first record without an acknowledgement,
	// counted from 0 in the order of Publish. All records before it are in the log.
	FirstUnacked int64

	// Offsets are the ranges of the acknowledged records, sorted by partition.
	Offsets []OffsetRange
}

// OffsetRange is the range of offsets between the first and the last acknowledged
// record of a producer in a partition. Records of other producers may lie in it.
type OffsetRange struct {
	Partition   int32
	First, Last int64 // offsets, both inclusive
}

// acked counts an acknowledged batch.
func (s *Summary) acked(b *batch) {
	s.AckedRecords += int64(b.records)
	s.AckedBytes += b.bytes
	s.AckedBatches++
	if b.ack.Duplicate {
		s.Duplicates++
	}
	first, last := b.ack.Offset, b.ack.Offset+int64(b.records)-1
	at, found := slices.BinarySearchFunc(s.Offsets, b.ack.Partition, func(r OffsetRange, partition int32) int {
		return int(r.Partition - partition)
	})
	if !found {
		s.Offsets = slices.Insert(s.Offsets, at, OffsetRange{b.ack.Partition, first, last})
		return
	}
	s.Offsets[at].First = min(s.Offsets[at].First, first)
	s.Offsets[at].Last = max(s.Offsets[at].Last, last)
}
