package stager

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// pace returns how long an upload waits before it is tried again.
func pace() backoff.BackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval: 50 * time.Millisecond, MaxInterval: 2 * time.Second,
		RandomizationFactor: 0.5, Multiplier: 2,
	}
}
