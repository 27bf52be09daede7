package partitionlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "laneway.dev/internal/core/journal"
	"laneway.dev/internal/journal"
	"laneway.dev/pkg/messages"
)

// ErrExists means that the log exists.
var ErrExists = errors.New("the log exists")

// Seal seals the log: no append succeeds after it returns, and that cannot be undone. It
// does nothing if the log does not exist.
func (l *Log) Seal(ctx context.Context) error { return l.mark(ctx, messages.SectionSealed) }

// Continuation writes the log that continues a damaged one as the partition's next incarnation.
//
// The protocol has four steps, and may be interrupted after any of them: seal the old log; create the
// new one with Continue; copy the entries that can be read with Append, and call Finish; then write the
// new incarnation into the topic's record. Until the last step the new log has no other writer and no
// readers. An attempt that finds the log of an earlier one gets ErrExists. It can delete that log if no
// attempt is running.
//
// Example: a log has the entries 1 to 900, its mark reserves sequences up to 1,024, and 300 to 310 are
// lost. The new log starts at sequence 1,025, which no reader has seen. It gets a first entry, copies of
// 1 to 299, one entry with a gap for the lost offsets, and copies of 311 to 900. A Continuation belongs
// to one goroutine.
type Continuation struct {
	log     *Log
	last    uint64 // sequence of the last entry that was sent
	group   uint64 // of the journal, that has the first entry; 0 before that
	pending []*journal.Appending
}

// Continue begins the log. Its first entry gets the sequence first. ErrExists means that an earlier
// attempt has created the log; that attempt may still be running.
func (l *Log) Continue(ctx context.Context, replicas int, first uint64) (*Continuation, error) {
	if err := l.createJournal(ctx, replicas); err != nil {
		return nil, err
	}
	_, exists, err := l.journal().State(ctx, l.id)
	switch {
	case err != nil:
		return nil, err
	case exists:
		return nil, fmt.Errorf("continue a log as %s: %w", l.partition, ErrExists)
	}
	return &Continuation{log: l, last: first - 1}, nil
}

// maxPending bounds the entries that are sent and not yet durable.
const maxPending = 256

// Append appends an entry. Up to maxPending entries are sent without waiting, so an entry is
// durable for certain only after Flush. After an error the Continuation MUST NOT be used
// except for Discard.
func (c *Continuation) Append(ctx context.Context, entry messages.Entry) error {
	if c.group == 0 {
		return c.begin(ctx, entry)
	}
	a, err := c.log.journal().Begin(ctx, c.last, c.log.section(messages.SectionNext, messages.StageCopying, messages.EncodeEntry(entry)))
	if err != nil {
		return known(err)
	}
	c.last++
	if c.pending = append(c.pending, a); len(c.pending) < maxPending {
		return nil
	}
	return c.Flush(ctx)
}

// begin appends the first entry, and learns which group has it.
func (c *Continuation) begin(ctx context.Context, entry messages.Entry) error {
	a, err := c.log.begin(ctx, c.last, messages.StageCopying, entry)
	if err != nil {
		return err
	}
	done, err := a.Await(ctx)
	if errors.Is(err, core.ErrMoved) {
		return fmt.Errorf("create the log of %s: %w", c.log.partition, ErrExists)
	}
	c.group = done.Group
	c.last++
	return err
}

// flushTimeout bounds the wait for acknowledgements.
const flushTimeout = 30 * time.Second

// Flush returns nil when all appended entries are durable.
func (c *Continuation) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for _, a := range c.pending {
		if _, err := a.Await(ctx); err != nil {
			return known(err)
		}
	}
	c.pending = c.pending[:0]
	return nil
}

// Finish marks the log as complete. All appended entries are durable when it returns nil.
func (c *Continuation) Finish(ctx context.Context) error {
	if err := c.Flush(ctx); err != nil {
		return err
	}
	return c.log.mark(ctx, messages.SectionCopied)
}

// Discard deletes the log, unless another attempt has replaced it by its own.
func (c *Continuation) Discard(ctx context.Context) error {
	if c.group == 0 {
		return nil
	}
	_, err := c.log.journal().Append(ctx, c.group, c.log.section(messages.SectionDeleted, 0, nil))
	if errors.Is(err, core.ErrNoLog) || errors.Is(err, core.ErrMoved) {
		return nil
	}
	return err
}
