package client

import (
	"context"
	"errors"
	"sync"
)

// arrival is a batch of one of several partitions, or how one ended.
type arrival struct {
	from  *progress
	batch fetched
	err   error
}

// merge reads several partitions at once. An error of one is yielded when the others
// have come to their ends, so that it does not cut them off at random points.
func (c *Consumer) merge(ctx context.Context, partitions int, yield func(fetched, error) bool) {
	reading := make([]*progress, partitions)
	for n := range reading {
		reading[n] = c.progress(int32(n))
	}
	failed, left := c.gather(ctx, reading, c.options.Follow, yield)
	if c.options.Follow && len(failed) > 0 && !left && ctx.Err() == nil {
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

// rest returns those that have not failed, which are to be read to their ends.
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

// gather reads partitions until all have ended, or the first has failed if that is
// where to stop. It returns the errors, and whether the consumer wants no more. Then
// no goroutine is left.
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

// start reads partitions into one channel, which is closed when all have ended.
// stop ends the reading; then no goroutine is left.
func (c *Consumer) start(ctx context.Context, reading []*progress) (<-chan arrival, func()) {
	ctx, cancel := context.WithCancel(ctx)
	// Unbuffered: a batch counts as taken, and is credited, when it is read.
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
