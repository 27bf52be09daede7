package delivery

import (
	"cmp"
	"time"
)

// Span is the number of batches, counted from the lowest one without an OK, that a
// partition recognizes when they are sent again. It is a constant of the protocol
// and not a setting: with a larger span, a retry could be refused forever.
const Span = 5

// Defaults of the settings.
const (
	DefaultDeliveryTimeout   = 2 * time.Minute
	DefaultMinAttemptTimeout = 5 * time.Second
	// DefaultMaxAttemptTimeout is longer than the produce deadline, by which a
	// frontend answers every request.
	DefaultMaxAttemptTimeout = 35 * time.Second
	DefaultMinBackoff        = 20 * time.Millisecond
	DefaultMaxBackoff        = 2 * time.Second
)

// Settings of a window. Zero values mean the defaults, except for First and Random.
type Settings struct {
	// First is the producer sequence of the first record of the first batch.
	First int32
	// Batches bounds the batches without an OK. The default, and the highest
	// possible value, is Span.
	Batches int
	// DeliveryTimeout bounds the time of a batch from Add to its OK, over all
	// attempts, with or without a connection. It MUST be shorter than the time for
	// which a partition remembers an idle producer.
	DeliveryTimeout time.Duration
	// MinAttemptTimeout and MaxAttemptTimeout bound how long an attempt waits for its
	// answer. Between them, the timeout follows the latency of earlier attempts.
	MinAttemptTimeout, MaxAttemptTimeout time.Duration
	// The pause before batches are sent again is random, between zero and a limit. The
	// limit starts at MinBackoff and doubles with each failure, up to MaxBackoff. An OK
	// resets it.
	MinBackoff, MaxBackoff time.Duration
	// Random returns random numbers in [0, 1), for the pauses. It is required.
	Random func() float64
}

// complete returns the settings with defaults.
func (s Settings) complete() Settings {
	if s.Batches <= 0 || s.Batches > Span {
		s.Batches = Span
	}
	s.DeliveryTimeout = cmp.Or(s.DeliveryTimeout, DefaultDeliveryTimeout)
	s.MinAttemptTimeout = cmp.Or(s.MinAttemptTimeout, DefaultMinAttemptTimeout)
	s.MaxAttemptTimeout = cmp.Or(s.MaxAttemptTimeout, DefaultMaxAttemptTimeout)
	s.MinBackoff = cmp.Or(s.MinBackoff, DefaultMinBackoff)
	s.MaxBackoff = cmp.Or(s.MaxBackoff, DefaultMaxBackoff)
	return s
}
