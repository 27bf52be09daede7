// Package epoch gives every start of a service an epoch of its own, higher than
// those of all earlier starts. Epochs fence: what an older one says is void.
package epoch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/replicated"
)

const bucket = "LANEWAY_EPOCHS"

// Acquire returns a new epoch for a role, above all earlier ones and above what a
// fenced owner was told. The first one of a bucket is the time, in seconds: services do
// not start once a second, so that the epochs of a bucket which was lost and made anew
// lie above those that logs know, and no ticket is taken for one of an older owner. If
// the clock was set back since then, owners are fenced until they have passed those. It
// tries for as long as ctx lives: JetStream may have no leader for seconds.
func Acquire(ctx context.Context, js jetstream.JetStream, role string, above uint64) (uint64, error) {
	return acquire(ctx, js, role, nobody, above)
}

// nobody is the epoch of who has none yet.
const nobody = math.MaxUint64

// acquire takes the next epoch unless there is one above mine.
func acquire(ctx context.Context, js jetstream.JetStream, role string, mine, above uint64) (uint64, error) {
	return replicated.Retry(ctx, func(ctx context.Context) (uint64, error) {
		return tryAcquire(ctx, js, role, mine, above)
	})
}

func tryAcquire(ctx context.Context, js jetstream.JetStream, role string, mine, above uint64) (uint64, error) {
	kv, err := replicated.OpenBucket(ctx, js, bucket, "Laneway: epochs of the services")
	if err != nil {
		return 0, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	previous, revision, err := current(ctx, kv, role)
	if err != nil {
		return 0, err
	}
	if previous > mine {
		return 0, backoff.Permanent(fmt.Errorf("role %s, epoch %d, newest epoch %d: %w", role, mine, previous, ErrReplaced))
	}
	bound := max(previous, above) + 1
	if revision == 0 {
		bound = max(bound, uint64(max(0, time.Now().Unix())))
	}
	// The compare-and-set makes sure that no two starts see the same previous
	// epoch, and that none was missed by asking a replica that lags.
	revision, err = kv.Update(ctx, role, []byte(strconv.FormatUint(bound, 10)), revision)
	if err != nil {
		return 0, fmt.Errorf("take the next epoch of role %s: %w", role, err)
	}
	return max(revision, bound), nil // an epoch of a bucket that began at 1 is a revision
}

// current returns the newest epoch of a role and the revision of its key.
func current(ctx context.Context, kv jetstream.KeyValue, role string) (epoch, revision uint64, err error) {
	entry, err := kv.Get(ctx, role)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the epoch of role %s: %w", role, err)
	}
	bound, err := strconv.ParseUint(string(entry.Value()), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("the epoch of role %s in bucket %s is not a number: %w", role, bucket, err)
	}
	return max(bound, entry.Revision()), entry.Revision(), nil
}
