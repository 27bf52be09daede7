package client

import "context"

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
// is a small value, to be copied, and safe for concurrent use. The zero value, which
// comes with an error of Publish, is none.
type Future struct {
	batch *batch
	index int32 // of the record in the batch
}

// Done returns a channel that is closed when Wait would not wait.
func (f Future) Done() <-chan struct{} { return f.batch.done }

// Wait waits until the record is in the log. The error is that of ctx, or that
// with which the producer has failed: then the record may or may not be there,
// unless ProduceError.Absent says that it is not.
func (f Future) Wait(ctx context.Context) (Ack, error) {
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
