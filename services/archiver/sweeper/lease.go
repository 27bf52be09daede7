package sweeper

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/sweepstate"
)

const (
	bucket   = sweepstate.Bucket
	leaseKey = "lease"
)

// The time of a lease is the interval of the sweeps, within these bounds.
const (
	minLease = 2 * time.Second
	maxLease = 15 * time.Second
)

func leaseTime(interval time.Duration) time.Duration { return min(max(interval, minLease), maxLease) }

// lease lets one sweeper sweep at a time. Its key changes while its holder lives. Whoever has seen
// no change for the time of the lease, by its own monotonic clock, takes it over by compare-and-set.
// Two holders would do no harm: they would only do the same work twice.
type lease struct {
	js       jetstream.JetStream
	instance string
	time     time.Duration

	mu      sync.Mutex
	until   time.Time // when the own lease expires
	seen    uint64    // revision of the key
	changed time.Time // when that revision was first seen
	others  uint64    // how often another sweeper was seen to have written the key
	gained  uint64    // how often this sweeper got the lease that it did not have before
	beats   uint64
}

func newLease(js jetstream.JetStream, leaseTime time.Duration) *lease {
	return &lease{js: js, instance: nuid.Next(), time: leaseTime}
}

// held reports whether this sweeper has the lease.
func (l *lease) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until)
}

// timesTaken returns how often another sweeper was seen to have the lease.
func (l *lease) timesTaken() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.others
}

// timesGained returns how often this sweeper got the lease while it did not have it.
func (l *lease) timesGained() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gained
}

// keep takes and renews the lease until ctx ends, and then gives it up.
func (l *lease) keep(ctx context.Context, log *zap.Logger) {
	ticker := time.NewTicker(l.time / 4)
	defer ticker.Stop()
	for {
		if err := l.renew(ctx); err != nil && ctx.Err() == nil {
			log.Debug("the lease for sweeps could not be renewed", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			l.release(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
		}
	}
}

// renew takes or renews the lease, if no other sweeper has it.
func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, kvbucket.AttemptTime)
	defer cancel()
	sent := time.Now()
	kv, err := kvbucket.OpenBucket(ctx, l.js, bucket, "Laneway: which archiver sweeps the object store")
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	found, err := kvbucket.Get(ctx, l.js.Conn(), bucket, leaseKey)
	if err != nil {
		return err
	}
	if !l.free(found, sent) {
		return nil
	}
	l.beats++
	revision, err := kv.Update(ctx, leaseKey, fmt.Appendf(nil, "%s %d", l.instance, l.beats), found.Revision)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !time.Now().Before(l.until) {
		l.gained++
	}
	l.until, l.seen = sent.Add(l.time), revision
	return nil
}

// free reports whether this sweeper may write the key: it has written the key last, there is none, or
// another sweeper has not changed it for too long.
func (l *lease) free(found kvbucket.Entry, now time.Time) bool {
	if !found.Exists || strings.HasPrefix(string(found.Value), l.instance+" ") {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if found.Revision != l.seen {
		l.seen, l.changed, l.until = found.Revision, now, time.Time{}
		l.others++
	}
	return now.Sub(l.changed) >= l.time
}

func (l *lease) release(ctx context.Context) {
	if !l.held() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, kvbucket.AttemptTime)
	defer cancel()
	l.mu.Lock()
	revision := l.seen
	l.until = time.Time{}
	l.mu.Unlock()
	if kv, err := l.js.KeyValue(ctx, bucket); err == nil {
		_ = kv.Delete(ctx, leaseKey, jetstream.LastRevision(revision)) // or else it expires
	}
}
