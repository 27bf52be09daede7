package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

const (
	// latencyWorkers bounds the records that wait for their acknowledgement at once. More
	// records wait to be sent, and that time counts in their latency.
	latencyWorkers = 256
	maxLatency     = 10 * time.Minute
	latencyDigits  = 3
)

// Percentiles are latencies of acknowledgements in milliseconds. A latency counts from the
// time at which the record should have been sent, so that a stall counts for all records
// that it delays.
type Percentiles struct {
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p99_9_ms"`
	Max  float64 `json:"max_ms"`
}

// measureLatency sends a record at every tick of a fixed rate, whether the ones
// before are acknowledged or not.
func measureLatency(ctx context.Context, p *Plan, where place) (Round, error) {
	limit := max(1, p.Bytes/int64(p.RecordBytes))
	warm := min(limit, max(1, int64(p.Warmup.Seconds()*float64(p.Rate))))
	if _, err := openLoop(ctx, p, where, warm); err != nil {
		return Round{}, err
	}
	count := min(limit, max(1, int64(p.Duration.Seconds()*float64(p.Rate))))
	started := time.Now()
	histogram, err := openLoop(ctx, p, where, count)
	elapsed := time.Since(started)
	if err != nil {
		return Round{}, err
	}
	if err := complete(ctx, where, warm+count); err != nil {
		return Round{}, err
	}
	round := p.round(histogram.TotalCount(), elapsed)
	round.Latency = summarize(histogram)
	round.Value = round.Latency.P50
	return round, nil
}

// openLoop sends records at the plan's rate.
func openLoop(ctx context.Context, p *Plan, where place, count int64) (*hdrhistogram.Histogram, error) {
	due := make(chan time.Time)
	parts := make([]*hdrhistogram.Histogram, min(latencyWorkers, count))
	group, ctx := errgroup.WithContext(ctx)
	for n := range parts {
		parts[n] = hdrhistogram.New(1, maxLatency.Nanoseconds(), latencyDigits)
		group.Go(func() error { return sendDue(ctx, newRecordMaker(n, p.RecordBytes), where, due, parts[n]) })
	}
	group.Go(func() error {
		defer close(due)
		return schedule(ctx, due, time.Second/time.Duration(p.Rate), count)
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := parts[0]
	for _, part := range parts[1:] {
		if dropped := all.Merge(part); dropped > 0 {
			return nil, fmt.Errorf("%d latencies are longer than %s", dropped, maxLatency)
		}
	}
	if all.TotalCount() != count {
		return nil, fmt.Errorf("%d records were to be sent, %d were acknowledged", count, all.TotalCount())
	}
	return all, nil
}

// schedule sends the times at which records are due. It sends a time that has passed at
// once, so that a stall does not lower the rate.
func schedule(ctx context.Context, due chan<- time.Time, every time.Duration, count int64) error {
	started := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := range count {
		at := started.Add(time.Duration(n) * every)
		timer.Reset(time.Until(at))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case due <- at:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// sendDue sends a record for each due time that it receives.
func sendDue(ctx context.Context, maker *recordMaker, where place, due <-chan time.Time, histogram *hdrhistogram.Histogram) error {
	value := make([]byte, maker.size)
	for at := range due {
		maker.fill(value)
		bounded, cancel := context.WithTimeoutCause(ctx, ackTimeout, errors.New("no acknowledgement came in time"))
		err := where.publish(bounded, value)
		cancel()
		if err != nil {
			return err
		}
		if err := histogram.RecordValue(time.Since(at).Nanoseconds()); err != nil {
			return err
		}
	}
	return nil
}

func summarize(h *hdrhistogram.Histogram) *Percentiles {
	at := func(percentile float64) float64 {
		return float64(h.ValueAtPercentile(percentile)) / float64(time.Millisecond)
	}
	return &Percentiles{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / float64(time.Millisecond)}
}
