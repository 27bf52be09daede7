package client

import (
	"context"
	"sync"
)

// arrival is a batch of one of several partitions, or how one ended.
type arrival struct {
	batch fetched
	err   error
}

// merge reads several partitions at once; the first error ends them all.
func (c *Consumer) merge(ctx context.Context, partitions int, yield func(fetched, error) bool) {
	arrivals, stop := c.gather(ctx, partitions)
	defer stop()
	for a := range arrivals {
		if !yield(a.batch, a.err) || a.err != nil {
			return
		}
	}
	if err := ctx.Err(); err != nil {
		yield(fetched{}, err)
	}
}

// gather reads partitions into one channel, which is closed when all have ended.
// stop ends the reading; then no goroutine is left.
func (c *Consumer) gather(ctx context.Context, partitions int) (<-chan arrival, func()) {
	ctx, cancel := context.WithCancel(ctx)
	// Unbuffered: a batch counts as taken, and is credited, when it is read.
	arrivals := make(chan arrival)
	var readers sync.WaitGroup
	for n := range partitions {
		readers.Go(func() {
			for batch, err := range c.partition(ctx, int32(n)) {
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
