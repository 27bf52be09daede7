package stager

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// pace is how long an upload waits before it is tried again. A store that is
// full is asked less often: space comes back slowly. It belongs to the upload's
// goroutine.
type pace struct {
	usual, full backoff.ExponentialBackOff
	isFull      bool // what the last try has found
}

func newPace() *pace {
	return &pace{
		usual: backoff.ExponentialBackOff{
			InitialInterval: 50 * time.Millisecond, MaxInterval: 2 * time.Second,
			RandomizationFactor: 0.5, Multiplier: 2,
		},
		full: backoff.ExponentialBackOff{
			InitialInterval: 500 * time.Millisecond, MaxInterval: 5 * time.Second,
			RandomizationFactor: 0.5, Multiplier: 2,
		},
	}
}

// NextBackOff implements backoff.BackOff.
func (p *pace) NextBackOff() time.Duration {
	if p.isFull {
		return p.full.NextBackOff()
	}
	return p.usual.NextBackOff()
}

// Reset implements backoff.BackOff.
func (p *pace) Reset() {
	p.usual.Reset()
	p.full.Reset()
}
