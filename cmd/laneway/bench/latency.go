package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
)

const (
	// latencyWorkers bounds the records that wait for their acknowledgement at once. More
	// records wait to be sent, and that time counts in their latency.
	latencyWorkers = 4096
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
func measureLatency(ctx context.Context, p *Plan, s *servers, where place) (Round, error) {
	if err := where.create(ctx); err != nil {
		return Round{}, err
	}
	// With many targets, every one has a record before the measurement, because the first one
	// takes longer.
	touched := int64(0)
	if where.targets() > 1 {
		if err := touch(ctx, p, where); err != nil {
			return Round{}, err
		}
		touched = int64(where.targets())
	}
	limit := max(1, p.Bytes/int64(p.RecordBytes))
	warm := min(limit, max(1, int64(p.Warmup/p.Interval)))
	if _, err := p.openLoop(ctx, where, 0, warm); err != nil {
		return Round{}, err
	}
	count := min(limit, max(1, int64(p.Duration/p.Interval)))
	var latencies *hdrhistogram.Histogram
	round, err := s.meter(ctx, func() (err error) {
		latencies, err = p.openLoop(ctx, where, warm, count)
		return err
	})
	if err != nil {
		return Round{}, err
	}
	p.rate(&round, count)
	round.Latency = summarize(latencies)
	round.Value = round.Latency.P50
	return round, complete(ctx, where, touched+warm+count)
}

// openLoop sends records at the plan's rate and returns their latencies. The first of them has
// this number.
func (p *Plan) openLoop(ctx context.Context, where place, first, count int64) (*hdrhistogram.Histogram, error) {
	latencies := hdrhistogram.New(1, maxLatency.Nanoseconds(), latencyDigits)
	var mu sync.Mutex // guards latencies
	maker := newRecordMaker(0, p.RecordBytes)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(latencyWorkers)
	err := schedule(ctx, p.Interval, count, func(n int64, due time.Time) {
		target, value := p.target(first+n, where.targets()), make([]byte, p.RecordBytes)
		maker.fill(value)
		group.Go(func() error {
			ctx, cancel := context.WithTimeoutCause(ctx, ackTimeout, errors.New("no acknowledgement came in time"))
			defer cancel()
			if err := where.publish(ctx, target, &nats.Msg{Data: value}); err != nil {
				return err
			}
			latency := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			return latencies.RecordValue(latency.Nanoseconds())
		})
	})
	if failed := group.Wait(); failed != nil {
		err = failed // it has ended the schedule
	}
	if err == nil && latencies.TotalCount() != count {
		err = fmt.Errorf("%d records were to be sent, %d were acknowledged", count, latencies.TotalCount())
	}
	return latencies, err
}

// target returns where the n-th record goes. Topics take turns, so that each of them gets its
// share of the rate. Otherwise chance decides, as with records that have random keys.
func (p *Plan) target(n int64, targets int) int {
	if p.Topics > 0 {
		return int(n % int64(targets))
	}
	return rand.IntN(targets)
}

// schedule calls send for count records, each at the time at which it is due. If send takes
// longer than the time to the next record, those that are due meanwhile follow at once, with
// the times at which they were due: a stall does not lower the rate.
func schedule(ctx context.Context, every time.Duration, count int64, send func(n int64, due time.Time)) error {
	started := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := range count {
		due := started.Add(time.Duration(n) * every)
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		send(n, due)
	}
	return nil
}

func summarize(h *hdrhistogram.Histogram) *Percentiles {
	at := func(percentile float64) float64 {
		return float64(h.ValueAtPercentile(percentile)) / float64(time.Millisecond)
	}
	return &Percentiles{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / float64(time.Millisecond)}
}
