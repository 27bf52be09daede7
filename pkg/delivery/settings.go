package delivery

import (
	"cmp"
	"time"
)

// Span is how many batches, counted from the lowest one without an OK, a
// partition recognises when they are sent again. It is no setting: with more, a
// retry could be refused for ever.
const Span = 5

// Defaults of the settings.
const (
	DefaultDeliveryTimeout   = 2 * time.Minute
	DefaultMinAttemptTimeout = 5 * time.Second
	// DefaultMaxAttemptTimeout is longer than the deadline after which a frontend
	// answers at the latest.
	DefaultMaxAttemptTimeout = 35 * time.Second
	DefaultMinBackoff        = 20 * time.Millisecond
	DefaultMaxBackoff        = 2 * time.Second
)

// Settings of a window. Zero values mean the defaults, but for First and Random.
type Settings struct {
	// First is the sequence of the first record of the first batch.
	First int32
	// Batches bounds the batches without an OK; default and most Span.
	Batches int
	// DeliveryTimeout is how long a batch may take from Add to its OK, over all
	// attempts, and whether there is a connection or not. It must be shorter than a
	// partition remembers an idle producer.
	DeliveryTimeout time.Duration
	// An attempt waits for its answer at least MinAttemptTimeout and at most
	// MaxAttemptTimeout, depending on how long others took.
	MinAttemptTimeout, MaxAttemptTimeout time.Duration
	// The pause before sending again is a random part of a bound that doubles from
	// MinBackoff to MaxBackoff, until there is an OK.
	MinBackoff, MaxBackoff time.Duration
	// Random returns numbers in [0, 1), for the pauses.
	Random func() float64
}

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
