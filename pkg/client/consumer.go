package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"laneway.dev/pkg/protocol"
)

// Consumer reads a topic. It keeps no state between two iterations, and is safe for
// concurrent use.
type Consumer struct {
	client  *Client
	options ConsumerOptions
}

// Consumer returns a consumer. It sends no request before Records is iterated over,
// so an unknown topic or a wrong option is an error of the iteration.
func (c *Client) Consumer(options ConsumerOptions) *Consumer {
	return &Consumer{c, options.complete()}
}

// Records reads records from the place that the options name.
//
// Promises:
//
//   - Order: the records of a partition have rising offsets. Within an iteration no
//     record is skipped, repeated or reordered, whatever connections and frontends
//     are lost meanwhile. Records of several partitions are mixed in the order of
//     their arrival.
//   - Gaps: offsets without records are reported to ConsumerOptions.OnGap between
//     the records around them. Records that exist and cannot be read are never
//     skipped silently: they end the reading with CORRUPT, or are reported with
//     ConsumerOptions.SkipCorrupt. Neither are records that were deleted before
//     they were read, by retention or truncation: they are reported to OnGap, and
//     end the reading with OFFSET_OUT_OF_RANGE without it.
//   - Durability: only records that are in the log are yielded.
//   - Flow: at most ConsumerOptions.WindowBytes for each partition are sent ahead of
//     the iteration. A slow loop slows the frontend down, and loses nothing.
//
// End: the iteration ends when all requested records were read, when the loop breaks,
// or after it has yielded an error. The error is that of ctx if ctx has ended, and
// wraps ErrClosed if the client was closed. After a retryable error, reading is
// retried first (ConsumerOptions.Retries). No goroutine is left behind.
//
// If one of several partitions fails, the others are first read to their ends, and
// then the error is yielded. With Follow, the end is that at the time of the failure.
// So an error of one partition does not end the others at random places.
//
// To continue in a later iteration, the caller MUST store the offset after the last
// record of each partition, and start there (ConsumerOptions.Offset with
// ConsumerOptions.Partition). Consumers store no position.
func (c *Consumer) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		left := newBudget(c.options.MaxRecords)
		for b, err := range c.batches(ctx) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			if b.gap != nil {
				if c.options.OnGap != nil {
					c.options.OnGap(*b.gap)
				}
				continue
			}
			if !b.records(&left, yield) {
				return
			}
		}
	}
}

// Record is a record of a partition.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time // when it was committed to the log
	Headers   []protocol.Header
	// Value belongs to the caller. It shares its memory with the other records of
	// its batch: clone it if few records are kept for long.
	Value []byte
}

// Gap is a range of offsets of a partition for which a consumer gets no records.
type Gap struct {
	Topic       string
	Partition   int32
	First, Last int64 // offsets, both inclusive
	// Err is nil if the log says that there are no records at these offsets.
	// Otherwise there are records that cannot be read, for this reason, and the
	// consumer passes over them because of ConsumerOptions.SkipCorrupt. With the code
	// OFFSET_OUT_OF_RANGE there were records, which retention or truncation has
	// deleted before they were read.
	Err *protocol.Error
}

// String describes the gap in one line.
func (g Gap) String() string {
	what := "there are no records"
	switch {
	case g.Err == nil:
	case g.Err.Code == protocol.CodeOffsetOutOfRange:
		what = "records were deleted before they were read,"
	default:
		what = "records cannot be read"
	}
	offsets := fmt.Sprintf("at the offsets %d to %d", g.First, g.Last)
	if g.First == g.Last {
		offsets = fmt.Sprintf("at offset %d", g.First)
	}
	text := fmt.Sprintf("%s/%d: %s %s; continuing at offset %d", g.Topic, g.Partition, what, offsets, g.Last+1)
	if g.Err != nil && g.Err.Code != protocol.CodeOffsetOutOfRange {
		text += fmt.Sprintf(" (%v)", g.Err)
	}
	return text
}

// budget counts the records that are still wanted.
type budget struct {
	left int64 // never 0 at the start; negative means no limit
}

func newBudget(limit int64) budget {
	if limit <= 0 {
		return budget{-1}
	}
	return budget{limit}
}

// spend counts a record, and reports whether more are wanted.
func (b *budget) spend() bool {
	b.left--
	return b.left != 0
}

// batches reads the frames of the wanted partitions.
func (c *Consumer) batches(ctx context.Context) iter.Seq2[fetched, error] {
	if c.options.Partition != nil {
		return c.partition(ctx, c.progress(*c.options.Partition))
	}
	return func(yield func(fetched, error) bool) {
		topic, err := c.client.find(ctx, c.options.Topic)
		switch {
		case err != nil:
			yield(fetched{}, err)
		case topic.Partitions == 1:
			c.partition(ctx, c.progress(0))(yield)
		default:
			c.merge(ctx, topic.Partitions, yield)
		}
	}
}

// arrival is a batch of one of several partitions, or the error that ended one.
type arrival struct {
	from  *progress
	batch fetched
	err   error
}

// merge reads several partitions at the same time. The error of one is yielded after
// the others were read to their ends.
func (c *Consumer) merge(ctx context.Context, partitions int, yield func(fetched, error) bool) {
	reading := make([]*progress, partitions)
	for n := range reading {
		reading[n] = c.progress(int32(n))
	}
	failed, left := c.gather(ctx, reading, c.options.Follow, yield)
	if c.options.Follow && len(failed) > 0 && !left && ctx.Err() == nil {
		// Following has no end, so the others are read once more without it.
		var more []error
		more, left = c.gather(ctx, rest(reading), false, yield)
		failed = append(failed, more...)
	}
	switch {
	case left:
	case ctx.Err() != nil:
		yield(fetched{}, ctx.Err())
	case len(failed) == 1 || len(failed) > 0 && errors.Is(failed[0], ErrClosed):
		yield(fetched{}, failed[0])
	case len(failed) > 0:
		yield(fetched{}, errors.Join(failed...))
	}
}

// rest returns the partitions that have not failed, to be read to their ends.
func rest(reading []*progress) []*progress {
	var others []*progress
	for _, p := range reading {
		if !p.failed {
			p.options.Follow, p.failures = false, 0
			others = append(others, p)
		}
	}
	return others
}

// gather reads partitions until all have ended, or with stopAtError until one has
// failed. It returns the errors, and whether the loop of the caller has ended. No
// goroutine is left when it returns.
func (c *Consumer) gather(ctx context.Context, reading []*progress, stopAtError bool, yield func(fetched, error) bool) (failed []error, left bool) {
	arrivals, stop := c.start(ctx, reading)
	defer stop()
	for a := range arrivals {
		if a.err == nil {
			if !yield(a.batch, nil) {
				return failed, true
			}
			continue
		}
		a.from.failed = true
		if failed = append(failed, a.err); stopAtError {
			break
		}
	}
	return failed, false
}

// start starts a goroutine for each partition. All of them send to one channel,
// which is closed when they have ended. stop ends them and waits.
func (c *Consumer) start(ctx context.Context, reading []*progress) (<-chan arrival, func()) {
	ctx, cancel := context.WithCancel(ctx)
	// Unbuffered: a batch counts as delivered, and is credited, when it is received.
	arrivals := make(chan arrival)
	var readers sync.WaitGroup
	for _, p := range reading {
		readers.Go(func() {
			for batch, err := range c.partition(ctx, p) {
				select {
				case arrivals <- arrival{p, batch, err}:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	closed := make(chan struct{})
	go func() {
		readers.Wait()
		close(arrivals)
		close(closed)
	}()
	return arrivals, func() { cancel(); <-closed }
}
