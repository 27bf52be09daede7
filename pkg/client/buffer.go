package client

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/protocol"
)

// buffer has the records that are taken and not acked. Publishers fill batches,
// the sender takes and settles them.
type buffer struct {
	options  ProducerOptions
	frame    int           // bytes that a frame of several records may have
	work     chan struct{} // tells the sender, by one token, that there may be a batch to take
	mu       sync.Mutex    // guards what follows
	queues   []queue       // by target
	sticky   int           // the target of records without a key
	room     int           // bytes that are taken up
	freed    chan struct{} // closed when room is freed or the producer ends; nil if nobody waits
	pending  []*batch      // not settled, but for some behind the first, in the order of their numbers
	counters Summary
	closed   bool  // no record is taken any more
	err      error // why the producer has ended
}

// queue has the batches of a target that were not taken.
type queue struct {
	sealed []*batch
	open   *batch // the one that is filled, or nil
}

// put adds a record to the batch of a target, or of the one whose turn it is.
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
		b.tell()
	}
	return Future{bt, index}, nil
}

// lock locks the buffer when it has room for a record, however large that is if
// there is nothing else. With an error it is not locked.
func (b *buffer) lock(ctx context.Context, size int) error {
	b.mu.Lock()
	for !b.ended() && b.room > 0 && b.room+size > b.options.BufferBytes {
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		// Room comes from acks: what lingers would be waited for in vain.
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

// reason returns why no record is taken; nil while they are.
func (b *buffer) reason() error {
	if b.err == nil && b.closed {
		return ErrClosed
	}
	return b.err
}

// open returns a batch with room for a record of a target.
func (b *buffer) open(ctx context.Context, target, size int) *batch {
	for {
		at := target
		if at == anyTarget {
			at = b.sticky
		}
		open := b.queues[at].open
		switch {
		case open == nil:
			return b.begin(ctx, at)
		case open.builder.Size()+size <= b.frame:
			return open
		}
		b.seal(at)
	}
}

func (b *buffer) begin(ctx context.Context, target int) *batch {
	bt := newBatch(target, b.counters.Records, trace.SpanContextFromContext(ctx))
	b.queues[target].open = bt
	b.pending = append(b.pending, bt)
	b.tell()
	return bt
}

// seal ends the filling of a target's batch. Records without a key go on with the
// next target.
func (b *buffer) seal(target int) {
	q := &b.queues[target]
	q.sealed = append(q.sealed, q.open)
	q.open = nil
	if target == b.sticky {
		b.sticky = (target + 1) % len(b.queues)
	}
}

// tell wakes the sender.
func (b *buffer) tell() {
	select {
	case b.work <- struct{}{}:
	default: // it was told already
	}
}

// hurry lets no batch linger that is open now.
func (b *buffer) hurry() {
	for i := range b.queues {
		if open := b.queues[i].open; open != nil {
			open.hurried = true
		}
	}
	b.tell()
}

// take returns the next batch of a target, or when there will be one that still
// lingers; zero is never.
func (b *buffer) take(now time.Time, target int) (bt *batch, due time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := &b.queues[target]
	if open := q.open; len(q.sealed) == 0 && open != nil {
		if due = open.began.Add(b.options.Linger); now.Before(due) && !open.hurried {
			return nil, due
		}
		b.seal(target)
	}
	if len(q.sealed) == 0 {
		return nil, time.Time{}
	}
	bt = q.sealed[0]
	q.sealed = slices.Delete(q.sealed, 0, 1)
	return bt, time.Time{}
}
