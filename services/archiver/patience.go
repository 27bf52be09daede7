package archiver

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	firstPause   = 50 * time.Millisecond
	longestPause = 20 * time.Second // each put that fails may leave an object of 64 MiB behind
)

// final marks an error that another attempt would return, too.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// patience repeats what fails for a reason that may pass, with pauses that grow, as long as it
// gets further now and then. It belongs to one goroutine.
type patience struct {
	limit time.Duration // since it last got further
	since time.Time
	pause *backoff.ExponentialBackOff
}

func newPatience(limit time.Duration) *patience {
	p := &patience{limit: limit, pause: backoff.NewExponentialBackOff()}
	p.pause.InitialInterval, p.pause.MaxInterval, p.pause.Multiplier = firstPause, longestPause, 2
	p.further()
	return p
}

// further notes progress.
func (p *patience) further() {
	p.since = time.Now()
	p.pause.Reset()
}

// wait pauses after an error. It returns the error if there is no further attempt.
func (p *patience) wait(ctx context.Context, err error) error {
	if _, is := errors.AsType[final](err); is || time.Since(p.since) > p.limit {
		return err
	}
	timer := time.NewTimer(p.pause.NextBackOff())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
