package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

const (
	retryPause    = 50 * time.Millisecond
	retryPauseMax = 2 * time.Second
)

// progress is what a fetch has got so far, over all its requests. It belongs to
// the goroutine that iterates.
type progress struct {
	options   ConsumerOptions
	partition int32
	next      int64 // the offset to go on from
	placed    bool  // whether next is known
	delivered int64 // records
	served    bool  // a frontend has answered
	failures  int   // in a row
	left      bool  // the consumer wants no more
	failed    bool  // it has ended with an error
}

// broken is the end of a request that another one may make good.
type broken struct{ err error }

func (b *broken) Error() string { return b.err.Error() }
func (b *broken) Unwrap() error { return b.err }

// progress returns the start of a partition.
func (c *Consumer) progress(number int32) *progress {
	p := &progress{options: c.options, partition: number}
	if o := c.options.Offset; o != nil {
		p.next, p.placed = *o, true
	}
	return p
}

// partition reads the frames of a partition, with as many requests as it takes.
func (c *Consumer) partition(ctx context.Context, p *progress) iter.Seq2[fetched, error] {
	return func(yield func(fetched, error) bool) {
		for {
			err := c.client.fetch(ctx, p, yield)
			if errors.Is(err, errSkipped) {
				continue
			}
			if err != nil {
				err = c.client.retry(ctx, p, err)
				if err == nil {
					continue
				}
			}
			if err != nil && !p.left {
				yield(fetched{}, err)
			}
			return
		}
	}
}

// retry returns nil when it is time to ask again, else the error to end with.
func (c *Client) retry(ctx context.Context, p *progress, err error) error {
	var again *broken
	if !errors.As(err, &again) {
		return err
	}
	p.failures++
	if p.failures > p.options.Retries && (!p.options.Follow || !p.served) {
		return fmt.Errorf("%s/%d: given up after %d attempts: %w", p.options.Topic, p.partition, p.failures, again.err)
	}
	if errors.Is(err, nats.ErrNoResponders) {
		if missing := c.missing(ctx, p); missing != nil {
			return missing
		}
	}
	timer := time.NewTimer(min(retryPause<<min(p.failures-1, 10), retryPauseMax))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closed:
		return ErrClosed
	}
}

// missing returns an error if it is known that the partition does not exist.
func (c *Client) missing(ctx context.Context, p *progress) error {
	ctx, cancel := context.WithTimeout(ctx, p.options.Silence)
	defer cancel()
	topic, _, err := c.Admin().TopicInfo(ctx, p.options.Topic)
	switch {
	case errors.Is(err, protocol.NewError(protocol.CodeUnknownTopic, "")):
		return err
	case err == nil && (p.partition < 0 || int(p.partition) >= topic.Partitions):
		return noPartition(topic, p.partition)
	}
	return nil
}

// request is what to ask for next.
func (p *progress) request() protocol.FetchRequest {
	o := p.options
	r := protocol.FetchRequest{
		From: o.From, Time: o.Time, Follow: o.Follow, MaxWait: o.MaxWait.Milliseconds(),
		WindowBytes: o.WindowBytes, Frames: true,
	}
	if o.MaxRecords > 0 {
		r.MaxRecords = o.MaxRecords - p.delivered
	}
	switch {
	case p.placed:
		next := p.next
		r.Offset, r.From, r.Time = &next, "", nil
	case r.From == "" && r.Time == nil:
		r.From = protocol.FromEarliest
	}
	return r
}

// complete says whether nothing more is wanted.
func (p *progress) complete() bool {
	return p.options.MaxRecords > 0 && p.delivered >= p.options.MaxRecords
}

// got notes a batch that the consumer has taken.
func (p *progress) got(b *fetched) {
	p.next, p.placed = b.next(), true
	p.delivered += b.next() - b.from
	p.failures = 0
}
