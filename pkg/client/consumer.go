package client

import (
	"context"
	"iter"
	"time"

	"laneway.dev/pkg/protocol"
)

// Record is a record as it stands in a partition.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time // when it was committed
	Headers   []protocol.Header
	Value     []byte // shares memory with the other records of its batch
}

// ConsumerOptions say what to read. Topic is needed.
type ConsumerOptions struct {
	Topic     string
	Partition *int32 // nil is all partitions

	// At most one of these says where to start; none is the earliest record. An
	// offset is taken for each partition that is read.
	From   string // protocol.FromEarliest or protocol.FromLatest
	Offset *int64
	Time   *time.Time // the first record committed at or after it

	// Follow waits for more at the end. Otherwise the end is where the partition
	// ended when it was asked for.
	Follow bool
	// MaxRecords ends the reading after so many records, of all partitions together;
	// 0 is no limit. Together with Follow it waits for as many.
	MaxRecords int64
	// MaxWait is how long to wait, without Follow, if there is nothing at first.
	MaxWait time.Duration

	// OnGap is called for offsets that hold no records, between the records before and
	// behind them, by the goroutine that iterates. Reading continues by itself; nil is
	// that nobody wants to know.
	OnGap func(Gap)
	// SkipCorrupt continues behind records that cannot be read, because they were lost
	// or damaged, and has OnGap called for them. Otherwise they end the reading of their
	// partition with CORRUPT.
	SkipCorrupt bool

	// WindowBytes bounds what is on its way for each partition; default 8 MiB. One
	// batch may exceed it.
	WindowBytes int64
	// Silence is after how long without a message, not even a heartbeat, to ask
	// again; default 15 s.
	Silence time.Duration
	// Retries is how often to ask again in a row, with growing pauses, without
	// getting anything; default 8, about 7 s. Once it has been served, a consumer
	// with Follow asks for ever.
	Retries int
}

func (o ConsumerOptions) complete() ConsumerOptions {
	orDefault(&o.WindowBytes, 8<<20)
	orDefault(&o.Silence, 15*time.Second)
	orDefault(&o.Retries, 8)
	return o
}

// Consumer reads a topic. It keeps no state between two readings, and is safe
// for concurrent use.
type Consumer struct {
	client  *Client
	options ConsumerOptions
}

// Consumer returns a consumer. It asks for nothing until Records is iterated over.
func (c *Client) Consumer(options ConsumerOptions) *Consumer {
	return &Consumer{c, options.complete()}
}

// Records reads from the place that the options name: a partition in order, with
// every record that it has, several mixed as their records arrive. The iteration ends
// at the end of what was asked for, or after it has yielded an error, which is that of
// ctx once ctx has ended. What breaks in between, such as a frontend that is
// gone, is asked for again from the next offset.
//
// If one of several partitions fails, the others are read to their ends first, with
// Follow to where they end at that time.
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

// batches reads the frames of the partitions that are wanted.
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
