package client

import (
	"context"
	"iter"
	"sync"
)

// arrival is a batch of one of several partitions, or how one ended.
type arrival struct {
	batch fetched
	err   error
}

// RecordsAll reads all partitions of a topic at once. The records of a partition
// come in its order, the partitions mixed as they arrive. It is otherwise like
// Records; an Offset is taken for each partition, MaxRecords for all together.
func (c *Client) RecordsAll(ctx context.Context, o FetchOptions) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		topic, _, err := c.TopicInfo(ctx, o.Topic)
		if err != nil {
			yield(Record{}, err)
			return
		}
		arrivals, stop := c.gather(ctx, o, topic.Partitions)
		defer stop()
		left := newBudget(o.MaxRecords)
		for a := range arrivals {
			if a.err != nil {
				yield(Record{}, a.err)
				return
			}
			if !a.batch.records(&left, yield) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Record{}, err)
		}
	}
}

// gather reads partitions into one channel, which is closed when all have ended.
// stop ends the reading; then no goroutine is left.
func (c *Client) gather(ctx context.Context, o FetchOptions, partitions int) (<-chan arrival, func()) {
	ctx, cancel := context.WithCancel(ctx)
	// Unbuffered: a batch counts as taken, and is credited, when it is read.
	arrivals := make(chan arrival)
	var readers sync.WaitGroup
	for n := range partitions {
		one := o
		one.Partition = int32(n)
		readers.Go(func() {
			for batch, err := range c.batches(ctx, one) {
				select {
				case arrivals <- arrival{batch, err}:
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
