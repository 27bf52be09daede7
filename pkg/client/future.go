package client

import (
	"context"
	"errors"
)

// Ack tells that a record is in the log.
type Ack struct {
	Partition int32
	Offset    int64
	// Duplicate says that the record was there already when it was sent again. It is
	// there once, at Offset.
	Duplicate bool
	Ticket    uint64
	Epoch     uint64 // of the frontend that issued the ticket
}

// Future is the acknowledgement of a record that was published, once it comes. It
// is a small value, to be copied, and safe for concurrent use. That of the zero
// value, which comes with an error of Publish, never comes: Wait returns an error
// at once.
type Future struct {
	batch *batch
	index int32 // of the record in the batch
}

// errNotTaken is the error of the zero future.
var errNotTaken = errors.New("laneway: the record was not taken, as Publish has said")

// settled is what there is nothing to wait for.
var settled = func() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// Done returns a channel that is closed when Wait would not wait.
func (f Future) Done() <-chan struct{} {
	if f.batch == nil {
		return settled
	}
	return f.batch.done
}

// Wait waits until the record is in the log. The error is that of ctx, or that
// with which the producer has failed: then the record may or may not be there,
// unless ProduceError.Absent says that it is not.
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
