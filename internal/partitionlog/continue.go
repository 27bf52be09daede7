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

// Metadata of a stream that continues a log. It has a name of the attempt that created it,
// and from Finish on the sequence of the last entry that the attempt wrote: an interrupted
// repair leaves a stream without it.
const (
	metadataAttempt  = "laneway-attempt"
	metadataFinished = "laneway-finished"
)

// ErrExists says that a stream of the name is there already.
var ErrExists = errors.New("the stream exists")

// Seal makes sure that nothing is appended to the stream any more, for good. A stream that
// is not there is no error.
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

// Continuation writes the stream that continues a log. It belongs to one goroutine. Nothing
// else writes to the stream before the topic's record names it.
type Continuation struct {
	log     *Log
	config  jetstream.StreamConfig
	last    uint64 // sequence of the last entry that was sent
	pending []jetstream.PubAckFuture
}

// Continue makes a stream whose first entry gets a sequence. ErrExists says that an
// earlier attempt has left one behind, and may still be running.
func (l *Log) Continue(ctx context.Context, replicas int, first uint64) (*Continuation, error) {
	config := l.config(replicas)
	config.FirstSeq = first
	// Without a name of its own, a second attempt would share the stream of the first one:
	// JetStream takes the creation of a stream that exists for a success if the
	// configuration is the same.
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

// Append adds an entry. It may be durable only after Flush.
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

// flushTimeout bounds the wait for acknowledgements: one may be lost when a stream of
// several replicas changes its leader.
const flushTimeout = 30 * time.Second

// Flush returns when everything is durable.
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

// Finish says that the stream holds everything.
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

// Discard removes the stream, unless another attempt has created one of its name meanwhile.
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
