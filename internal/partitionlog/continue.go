package partitionlog

import (
	"context"
	"errors"
	"time"

	"laneway.dev/pkg/messages"
)

// ErrExists means that the log exists.
var ErrExists = errors.New("the log exists")

// Seal seals the log: no append succeeds after it returns, and that cannot be undone. It
// does nothing if the log does not exist.
func (l *Log) Seal(ctx context.Context) error { return l.source.seal(ctx) }

// Continuation writes the stream that continues a damaged log as its next incarnation.
//
// The protocol has four steps, and may be interrupted after any of them: seal the old
// stream; create the new one with Continue; copy the entries that can be read with Append,
// and call Finish; then write the new incarnation into the topic's record. Until the last
// step the new stream has no other writer and no readers. An attempt that finds the stream
// of an earlier one gets ErrExists. It can delete that stream if no attempt is running.
//
// Example: a log has the entries 1 to 900, its mark reserves sequences up to 1,024, and 300
// to 310 are lost. The new stream starts at sequence 1,025, which no reader has seen. It gets
// a first entry, copies of 1 to 299, one entry with a gap for the lost offsets, and copies of
// 311 to 900. A Continuation belongs to one goroutine.
type Continuation struct{ copier copier }

// Continue creates the log. Its first entry gets the sequence first. ErrExists means that
// an earlier attempt has created the log; that attempt may still be running.
func (l *Log) Continue(ctx context.Context, replicas int, first uint64) (*Continuation, error) {
	copier, err := l.source.continuation(ctx, replicas, first)
	if err != nil {
		return nil, err
	}
	return &Continuation{copier}, nil
}

// maxPending bounds the entries that are sent and not yet durable.
const maxPending = 256

// Append appends an entry. Up to maxPending entries are sent without waiting, so an entry is
// durable for certain only after Flush. After an error the Continuation MUST NOT be used
// except for Discard.
func (c *Continuation) Append(ctx context.Context, entry messages.Entry) error {
	return c.copier.append(ctx, entry)
}

// flushTimeout bounds the wait for acknowledgements. One may be lost when the leader of a
// stream with several replicas changes.
const flushTimeout = 30 * time.Second

// Flush returns nil when all appended entries are durable.
func (c *Continuation) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	return c.copier.flush(ctx)
}

// Finish marks the log as complete. All appended entries are durable when it returns nil.
func (c *Continuation) Finish(ctx context.Context) error {
	if err := c.Flush(ctx); err != nil {
		return err
	}
	return c.copier.finish(ctx)
}

// Discard deletes the log, unless another attempt has replaced it by its own.
func (c *Continuation) Discard(ctx context.Context) error { return c.copier.discard(ctx) }
