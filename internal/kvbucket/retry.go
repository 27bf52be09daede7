package kvbucket

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"laneway.dev/pkg/protocol"
)

// AttemptTime bounds one attempt: a request hangs while JetStream has no leader.
const AttemptTime = 2 * time.Second

// Retry repeats an operation until it succeeds or ctx ends, because JetStream may have no
// leader for seconds. Each attempt has its own timeout. Errors marked by backoff.Permanent,
// and those with the code CORRUPT, are returned at once.
func Retry[T any](ctx context.Context, do func(context.Context) (T, error)) (T, error) {
	return Repeat(ctx, func() (T, error) {
		attempt, cancel := context.WithTimeout(ctx, AttemptTime)
		defer cancel()
		return do(attempt)
	}, nil)
}

// Repeat is Retry for an operation that bounds its requests itself. failed, unless it is nil, is
// called with the error of each attempt that is repeated.
func Repeat[T any](ctx context.Context, do func() (T, error), failed func(error)) (T, error) {
	return backoff.Retry(ctx, func() (T, error) {
		result, err := do()
		if errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
			err = backoff.Permanent(err)
		}
		return result, err
	}, backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, _ time.Duration) {
		if failed != nil {
			failed(err)
		}
	}), backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 20 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.5, MaxInterval: time.Second,
	}))
}
