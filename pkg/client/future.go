package client

import (
	"context"
	"errors"
	"fmt"

	"laneway.dev/pkg/protocol"
)

// Ack is the acknowledgement of a record: the record is in the log.
type Ack struct {
	Partition int32
	Offset    int64
	// Duplicate reports that the record was in the log already when it was sent
	// again. It is there once, at Offset.
	Duplicate bool
	// Ticket is the number of the ticket of the record's batch, and Epoch is the
	// epoch of the frontend that issued it.
	Ticket uint64
	Epoch  uint64
}

// Future is the pending acknowledgement of a published record. It is a small
// value that may be copied, and is safe for concurrent use.
//
// A future is done once, with one of two results, which never change:
//
//   - An [Ack]. The record is durable: its payload is in the object store, and its
//     placeholder is in the log. The log has the record exactly once, at Ack.Offset
//     of Ack.Partition. A later failure of the producer changes nothing about it.
//   - An error: that of the producer, as Producer.Err returns it, or one that wraps
//     ErrClosed. The record may or may not be in the log, unless the error is a
//     *ProduceError whose Absent is true. The producer does not send it any more.
//
// When: a future is done when its whole batch is acknowledged, or when the producer
// fails or ends. A batch that exceeds its delivery timeout fails the producer, so
// every future is done eventually. The timeout of a batch starts when it is the
// batch's turn to be sent. Behind a full buffer this may be much later: pass a
// context to Wait to limit the wait.
//
// Order: within a partition, acknowledgements arrive in the order of Publish. When
// the producer fails, records after the failed one may still turn out to be
// acknowledged. There is no order between partitions.
//
// A caller MUST NOT publish a record again after an error without knowing that it
// is absent: the log could then have it twice. A producer with a name is the way to
// continue safely; see Producer.NextSequence.
//
// The zero value is returned together with an error of Publish. It is done, and Wait
// returns an error.
type Future struct {
	batch *batch
	index int32 // of the record in the batch
}

// errNotTaken is the error of the zero future.
var errNotTaken = errors.New("laneway: the record was not published: see the error of Publish")

// settled is a closed channel: the zero future is done.
var settled = func() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// Done returns a channel that is closed when the future is done. Wait then returns
// at once.
func (f Future) Done() <-chan struct{} {
	if f.batch == nil {
		return settled
	}
	return f.batch.done
}

// Wait waits until the future is done or ctx ends. If ctx ends first, the error is
// that of ctx and says nothing about the record: Wait may be called again. If the
// future is done, Wait returns its result even if ctx has ended.
func (f Future) Wait(ctx context.Context) (Ack, error) {
	if f.batch == nil {
		return Ack{}, errNotTaken
	}
	select {
	case <-f.batch.done:
	default:
		select {
		case <-f.batch.done:
		case <-ctx.Done():
			return Ack{}, ctx.Err()
		}
	}
	if f.batch.err != nil {
		return Ack{}, f.batch.err
	}
	ack := f.batch.first()
	ack.Offset += int64(f.index)
	return ack, nil
}

// BatchAck is the acknowledgement of a batch. Its Offset is that of the batch's
// first record; the other records have the offsets that follow.
type BatchAck struct {
	Ack
	// FirstRecord is the number of the batch's first record, counted from 0 in the
	// order of Publish. If the producer sends to several partitions, records of other
	// batches may lie between those of this one.
	FirstRecord int64
	Records     int
	Bytes       int64 // values and headers
}

// ProduceError is the error of a producer that has failed. It is final: the
// producer sends nothing any more.
//
// A producer with a name continues without loss or duplicates: start its next
// instance, and publish from Producer.NextSequence on. Without a name, only records
// that are known to be absent can be published again without risking duplicates.
type ProduceError struct {
	// Topic and Partition are where a batch failed.
	Topic     string
	Partition int32
	// FirstFailed is the number of the first record without an acknowledgement,
	// counted from 0 in the order of Publish. All records before it are in the log.
	FirstFailed int64
	// Records is the number of records without an acknowledgement. Each of them may
	// or may not be in the log, unless Absent says that none is.
	Records int64
	// Absent reports that no record without an acknowledgement is in the log: they
	// were not sent, or every attempt was refused.
	Absent bool
	// Err is what the batch failed with.
	Err *protocol.Error
}

// Error describes the failure, and which records are in the log.
func (e *ProduceError) Error() string {
	var first string
	switch e.FirstFailed {
	case 0:
		first = "no record is in the log for sure"
	case 1:
		first = "the first record is in the log"
	default:
		first = fmt.Sprintf("the first %d records are in the log", e.FirstFailed)
	}
	are, missing := "are", "acknowledged"
	if e.Records == 1 {
		are = "is"
	}
	if e.Absent {
		missing = "in the log"
	}
	return fmt.Sprintf("%s/%d: %v; %s, %d %s not %s", e.Topic, e.Partition, e.Err, first, e.Records, are, missing)
}

// Unwrap returns what the batch failed with.
func (e *ProduceError) Unwrap() error { return e.Err }
