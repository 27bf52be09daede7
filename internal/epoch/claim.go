package epoch

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrReplaced says that another instance has started in this role. The older
// one must stop at once and stay silent.
var ErrReplaced = errors.New("another instance has started in this role")

// Again is for the owner of an epoch that was told of a higher one: it returns
// a new epoch above that, or ErrReplaced if a younger instance exists. Without
// one, the bucket of epochs has been lost, and the numbers start again.
func Again(ctx context.Context, js jetstream.JetStream, role string, mine, above uint64) (uint64, error) {
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
		return 0, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	if err == nil {
		newest, _, err := current(ctx, kv, role)
		if err != nil {
			return 0, err
		}
		if newest > mine {
			return 0, fmt.Errorf("role %s, epoch %d, newest epoch %d: %w", role, mine, newest, ErrReplaced)
		}
	}
	return Acquire(ctx, js, role, above)
}
