package fetch

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/protocol"
)

// Config is what a Server needs. Zero limits and times take their defaults.
type Config struct {
	Conn   *nats.Conn
	JS     jetstream.JetStream
	Store  objectstore.Store
	Logger *zap.Logger         // nil discards
	Failed func(protocol.Code) // is called for each fetch that ends with an error; may be nil
	// Gone reports whether the topic of a partition is known to be deleted; nil means never.
	// It is called before a fetch fails with an error of class 500 or above.
	Gone func(context.Context, protocol.Partition) bool

	CacheBytes int64 // of recent payloads, log entries and decompressed blocks together; default 64 MiB
	MaxFetches int   // open at once; default 1024

	Heartbeat     time.Duration // of an idle fetch; default 5 s
	CreditTimeout time.Duration // after which a silent consumer's fetch ends; default 30 s
	LogTimeout    time.Duration // of one request to JetStream; default 2 s
	LogPatience   time.Duration // how long failing requests to JetStream are retried; default 10 s
	StoreTimeout  time.Duration // of one request to the store; default 30 s
	StorePatience time.Duration // how long a fetch without heartbeats waits for the store; default 10 s
}

func (c Config) orDefaults() Config {
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.Failed == nil {
		c.Failed = func(protocol.Code) {}
	}
	if c.Gone == nil {
		c.Gone = func(context.Context, protocol.Partition) bool { return false }
	}
	if c.CacheBytes <= 0 {
		c.CacheBytes = 64 << 20
	}
	if c.MaxFetches <= 0 {
		c.MaxFetches = 1024
	}
	for _, t := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&c.Heartbeat, 5 * time.Second},
		{&c.CreditTimeout, 30 * time.Second},
		{&c.LogTimeout, 2 * time.Second},
		{&c.LogPatience, 10 * time.Second},
		{&c.StoreTimeout, 30 * time.Second},
		{&c.StorePatience, 10 * time.Second},
	} {
		if *t.value <= 0 {
			*t.value = t.standard
		}
	}
	return c
}

// Limits of all fetches together. They bound the memory for payloads: a fetch that waits for
// credit, for a slot, or before it reads again after an error of the store holds almost nothing
// but what it has read ahead.
const (
	maxLoads    = 16 // fetches that hold payloads from the store at once
	maxAhead    = 24 // ranges of up to core.MaxRange bytes that are read ahead, for all fetches
	maxLogReads = 8  // of one partition at once

	maxPrefetches = 8 // pages of the history that are read before a fetch asks for them
)

// slots is a semaphore.
type slots chan struct{}

// acquire waits for a slot, at most for patience.
func (s slots) acquire(ctx context.Context, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return nil
	case <-timer.C:
		return protocol.Errorf(protocol.CodeUnavailable, "%d other fetches have used all slots for %s; the log does not answer", cap(s), patience)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release returns a slot.
func (s slots) release() { <-s }
