package epoch

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrReplaced says that another instance has started in this role. The older
// one must stop at once and stay silent.
var ErrReplaced = errors.New("another instance has started in this role")

// Again is for the owner of an epoch that was told of a higher one: it returns
// a new epoch above that, or ErrReplaced if a younger instance exists. Without
// one, the bucket of epochs has been lost, and the numbers start again.
func Again(ctx context.Context, js jetstream.JetStream, role string, mine, above uint64) (uint64, error) {
	return acquire(ctx, js, role, mine, above)
}
