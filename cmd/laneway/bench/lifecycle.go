package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// measureCreate creates the topics or streams, and then checks that each takes a record.
func measureCreate(ctx context.Context, p *Plan, s *servers, where place) (Round, error) {
	round, err := s.meter(ctx, func() error { return where.create(ctx) })
	if err != nil {
		return Round{}, err
	}
	round.Value = 1000 * round.Seconds
	return round, tryAll(ctx, p, where)
}

// measureRestart stops servers whose partitions have producers. The time counts from their
// start until every target has taken a record, so that of their stop does not count.
func measureRestart(ctx context.Context, p *Plan, s *servers, where place) (Round, error) {
	if err := where.create(ctx); err != nil {
		return Round{}, err
	}
	if err := where.seed(ctx, p.layout().spread(p.Producing), p.Producers); err != nil {
		return Round{}, err
	}
	if err := s.stop(); err != nil {
		return Round{}, err
	}
	started := time.Now()
	if err := s.restart(ctx, where); err != nil {
		return Round{}, err
	}
	if err := touch(ctx, p, where); err != nil {
		return Round{}, err
	}
	seconds := time.Since(started).Seconds()
	used, err := s.usage()
	if err != nil {
		return Round{}, err
	}
	round := Round{Seconds: seconds, Value: 1000 * seconds, Servers: used}
	return round, complete(ctx, where, int64(p.Producing)*int64(p.Producers)+int64(where.targets()))
}

// restart starts processes that were stopped again, on the same data, and connects to them.
func (s *servers) restart(ctx context.Context, where place) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	return eventually(ctx, func(context.Context) error { return where.connect() })
}

// measureIdle compares the memory of the servers before the topics or streams are created
// with that some time later, in which nothing is sent.
func measureIdle(ctx context.Context, p *Plan, s *servers, where place) (Round, error) {
	before, err := s.usage()
	if err != nil {
		return Round{}, err
	}
	if before == nil {
		return Round{}, errors.New("this system does not say how much memory a process has")
	}
	if err := where.create(ctx); err != nil {
		return Round{}, err
	}
	if err := rest(ctx, p.Duration); err != nil { // owners write their first marks in this time
		return Round{}, err
	}
	round, err := s.meter(ctx, func() error { return rest(ctx, p.Duration) })
	if err != nil {
		return Round{}, err
	}
	round.Value = growth(before.MemoryBytes, round.Servers.MemoryBytes, where.targets())
	return round, tryAll(ctx, p, where)
}

// growth returns by how many KiB memory grew for each target. Processes may give memory back
// while topics are created; the result is above 0 nevertheless, because ratios are made of it.
func growth(before, after int64, targets int) float64 {
	const least = 4 << 10 // a page
	return float64(max(least, after-before)) / 1024 / float64(targets)
}

// rest waits.
func rest(ctx context.Context, period time.Duration) error {
	select {
	case <-time.After(period):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const (
	// touchWorkers bounds the records of touch and seed that are not acknowledged.
	touchWorkers = 256
	// touchTimeout is how long touch waits for an acknowledgement before it sends again.
	touchTimeout = 5 * time.Second
)

// tryAll checks that each of the targets, which have no records, takes one.
func tryAll(ctx context.Context, p *Plan, where place) error {
	if err := touch(ctx, p, where); err != nil {
		return err
	}
	return complete(ctx, where, int64(where.targets()))
}

// touch sends a record to each target, again to one that does not take it yet, and returns when
// all of them are acknowledged.
func touch(ctx context.Context, p *Plan, where place) error {
	return each(ctx, where.targets(), touchWorkers, func(ctx context.Context, target int) error {
		refused := error(nil)
		err := eventually(ctx, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, touchTimeout)
			defer cancel()
			// The id lets a server store a record once that is sent twice.
			err := where.publish(ctx, target, &nats.Msg{Data: make([]byte, p.RecordBytes)},
				jetstream.WithMsgID("touch-"+strconv.Itoa(target)), jetstream.WithRetryAttempts(0))
			if isRefusal(err) {
				refused, err = err, nil
			}
			return err
		})
		if err = errors.Join(refused, err); err != nil {
			err = fmt.Errorf("partition or stream %d of %d takes no record: %w", target+1, where.targets(), err)
		}
		return err
	})
}

// isRefusal reports whether an error is the answer to a record that will never be taken.
func isRefusal(err error) bool {
	answer, ok := errors.AsType[*jetstream.APIError](err)
	return ok && answer.Code >= 400 && answer.Code < 500 && answer.Code != http.StatusTooManyRequests
}

// seed sends a record with these headers to each of the targets.
func seed(ctx context.Context, where place, targets []int, size int, headers nats.Header) error {
	return each(ctx, len(targets), touchWorkers, func(ctx context.Context, i int) error {
		ctx, cancel := context.WithTimeout(ctx, ackTimeout)
		defer cancel()
		return where.publish(ctx, targets[i], &nats.Msg{Header: headers, Data: make([]byte, size)})
	})
}
