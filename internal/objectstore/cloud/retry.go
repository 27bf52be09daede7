package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"laneway.dev/internal/objectstore"
)

// Requests other than the put of an object are repeated a few times, so that a passing fault
// is not an error. A fault that takes longer is up to the caller.
const (
	attempts   = 3
	firstPause = 100 * time.Millisecond // doubled each time, with jitter
	longPause  = 2 * time.Second
)

// retry calls a request until it succeeds, fails for a reason that lasts, or was tried several
// times. Each attempt is signed again. The error is classified.
func retry[T any](ctx context.Context, s *store, request func() (T, error)) (T, error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = firstPause, longPause
	renewed := false
	var last error
	result, err := backoff.Retry(ctx, func() (T, error) {
		result, err := request()
		err = s.classify(err)
		last = err
		if err == nil || objectstore.Passing(err) {
			return result, err
		}
		if errors.Is(err, objectstore.ErrCredentials) && !renewed {
			renewed = true
			s.bucket.renew()
			return result, err
		}
		return result, backoff.Permanent(err)
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(attempts), backoff.WithMaxElapsedTime(0))
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) && last != nil && !errors.Is(last, ended) {
		err = fmt.Errorf("%w, after: %w", err, last) // it ended during a pause
	}
	return result, err
}

// classify wraps an error of a bucket in the matching error of package objectstore.
func (s *store) classify(err error) error {
	if err == nil {
		return nil
	}
	cause := s.bucket.cause(err)
	if cause == nil {
		cause = causeOfConnection(err)
	}
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", cause, err)
}
