package partitionlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/messages"
)

// Metadata of a stream that continues a log: the name of the attempt that created it and,
// after Finish, the sequence of the last entry that the attempt has written. An interrupted
// repair leaves a stream without the second one.
const (
	metadataAttempt  = "laneway-attempt"
	metadataFinished = "laneway-finished"
)

// ErrExists means that a stream with the same name exists.
var ErrExists = errors.New("the stream exists")

// Seal seals the stream: no append succeeds after it returns, and that cannot be undone. It
// does nothing if the stream does not exist.
func (l *Log) Seal(ctx context.Context) error {
	stream, err := l.js.Stream(ctx, messages.LogStream(l.partition))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", messages.LogStream(l.partition), err)
	}
	config := stream.CachedInfo().Config
	if config.Sealed {
		return nil
	}
	config.Sealed = true
	if _, err := l.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("seal stream %s: %w", messages.LogStream(l.partition), err)
	}
	return nil
}

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
type Continuation struct {
	log     *Log
	config  jetstream.StreamConfig
	last    uint64 // sequence of the last entry that was sent
	pending []jetstream.PubAckFuture
}

// Continue creates the stream. Its first entry gets the sequence first. ErrExists means that
// an earlier attempt has created the stream; that attempt may still be running.
func (l *Log) Continue(ctx context.Context, replicas int, first uint64) (*Continuation, error) {
	config := l.config(replicas)
	config.FirstSeq = first
	// The name makes the configuration unique. JetStream reports success for the creation of
	// an existing stream with the same configuration, so without it two attempts could write
	// to one stream.
	config.Metadata[metadataAttempt] = nuid.Next()
	err := l.create(ctx, config)
	if failedWith(err, jetstream.JSErrCodeStreamNameInUse) {
		return nil, fmt.Errorf("create stream %s: %w", config.Name, ErrExists)
	}
	if err != nil {
		return nil, err
	}
	return &Continuation{log: l, config: config, last: first - 1}, nil
}

// maxPending bounds the entries that are sent and not yet durable.
const maxPending = 256

// Append appends an entry. Up to maxPending entries are sent without waiting, so an entry is
// durable for certain only after Flush. After an error the Continuation MUST NOT be used
// except for Discard.
func (c *Continuation) Append(ctx context.Context, entry messages.Entry) error {
	if c.last < c.config.FirstSeq {
		c.last++
		return c.log.appendFirst(ctx, c.last-1, messages.EncodeEntry(entry))
	}
	future, err := c.log.js.PublishMsgAsync(&nats.Msg{Subject: messages.LogSubject(c.log.partition), Data: messages.EncodeEntry(entry)},
		jetstream.WithExpectLastSequence(c.last), jetstream.WithExpectStream(c.config.Name), jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("append to %s: %w", c.config.Name, err)
	}
	c.last++
	if c.pending = append(c.pending, future); len(c.pending) < maxPending {
		return nil
	}
	return c.Flush(ctx)
}

// flushTimeout bounds the wait for acknowledgements. One may be lost when the leader of a
// stream with several replicas changes.
const flushTimeout = 30 * time.Second

// Flush returns nil when all appended entries are durable.
func (c *Continuation) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for _, future := range c.pending {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			if kvbucket.IsConflict(err) {
				err = ErrMoved
			}
			return fmt.Errorf("append to %s: %w", c.config.Name, err)
		case <-ctx.Done():
			return fmt.Errorf("append to %s: %w", c.config.Name, context.Cause(ctx))
		}
	}
	c.pending = c.pending[:0]
	return nil
}

// Finish marks the stream as complete. All appended entries are durable when it returns nil.
func (c *Continuation) Finish(ctx context.Context) error {
	if err := c.Flush(ctx); err != nil {
		return err
	}
	config := c.config
	config.Metadata = maps.Clone(config.Metadata)
	config.Metadata[metadataFinished] = strconv.FormatUint(c.last, 10)
	if _, err := c.log.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("finish stream %s: %w", config.Name, err)
	}
	return nil
}

// Discard deletes the stream, unless another attempt has replaced it by its own.
func (c *Continuation) Discard(ctx context.Context) error {
	stream, err := c.log.js.Stream(ctx, c.config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", c.config.Name, err)
	}
	if stream.CachedInfo().Config.Metadata[metadataAttempt] != c.config.Metadata[metadataAttempt] {
		return nil
	}
	return c.log.Delete(ctx)
}
