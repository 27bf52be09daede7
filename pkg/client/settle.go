package client

import (
	"fmt"

	"laneway.dev/pkg/protocol"
)

// errUnacked is how a producer ends that is not waited for.
var errUnacked = fmt.Errorf("%w before everything was acked", ErrClosed)

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

// acked settles a batch that is in the log.
func (b *buffer) acked(bt *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counters.acked(bt)
	b.room -= bt.room
	bt.settle()
	n := 0
	for n < len(b.pending) && b.pending[n].settled() {
		b.pending[n] = nil
		n++
	}
	b.pending = b.pending[n:]
	b.wake()
}

// wake wakes those who wait for room.
func (b *buffer) wake() {
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// end takes no records any more and fails what is not acked, which it returns.
func (b *buffer) end(err error) (failed []*batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bt := range b.pending {
		if !bt.settled() {
			failed = append(failed, bt)
		}
	}
	if err == ErrClosed && len(failed) > 0 { //nolint:errorlint // exactly this one says that all went well
		err = errUnacked
	}
	for _, bt := range failed {
		bt.err = err
		bt.settle()
	}
	b.err, b.pending, b.queues = err, nil, nil
	b.counters.FirstUnacked = b.firstUnacked(failed)
	b.wake()
	return failed
}

// firstUnacked returns the number of the first record that is not acked: batches
// are in the order of their first records.
func (b *buffer) firstUnacked(pending []*batch) int64 {
	if len(pending) > 0 {
		return pending[0].number
	}
	return b.counters.Records
}

// failure is how the producer fails with the error of a batch.
func (b *buffer) failure(target protocol.Partition, absent bool, err *protocol.Error) *ProduceError {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &ProduceError{
		Topic: target.Topic, Partition: target.Number, FirstFailed: b.firstUnacked(b.pending),
		Records: b.counters.Records - b.counters.AckedRecords, Absent: absent, Err: err,
	}
}

// flush lets nothing linger and returns what is not acked.
func (b *buffer) flush() []*batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hurry()
	return append([]*batch(nil), b.pending...)
}

// shut takes no record any more.
func (b *buffer) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.wake()
}

// why returns why no record is taken; nil while they are.
func (b *buffer) why() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reason()
}

func (b *buffer) summary() Summary {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.counters
	s.Offsets = append([]OffsetRange(nil), s.Offsets...)
	if b.err == nil {
		s.FirstUnacked = b.firstUnacked(b.pending)
	}
	return s
}
