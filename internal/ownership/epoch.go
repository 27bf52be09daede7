// Package ownership gives every start of a service an epoch of its own, higher than
// those of all earlier starts. Epochs fence: what is sent with an older one does not count.
//
// It owns the bucket LANEWAY_EPOCHS, which has the assignment of each role. What follows from
// an assignment is decided in internal/core/ownership.
package ownership

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"

	core "laneway.dev/internal/core/ownership"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

const bucket = "LANEWAY_EPOCHS"

// ErrReplaced means that another instance has started in this role. The older one MUST stop
// at once and send nothing more.
var ErrReplaced = errors.New("another instance has started in this role")

// encode returns the value of a key.
func encode(a core.Assignment) []byte {
	return []byte(strconv.FormatUint(a.Epoch, 10) + " " + a.Instance)
}

func decode(e kvbucket.Entry) (core.Assignment, error) {
	if !e.Exists {
		return core.Assignment{}, nil
	}
	number, instance, _ := strings.Cut(string(e.Value), " ")
	epoch, err := strconv.ParseUint(number, 10, 64)
	return core.Assignment{Epoch: epoch, Instance: instance}, err
}

// acquire takes the next epoch of a role for an instance with the epoch current; 0 if it has
// none yet. The new epoch is above the one that has fenced the instance. ErrReplaced means that
// a younger instance has taken an epoch.
func (h *Holder) acquire(ctx context.Context, current, above uint64) (uint64, error) {
	return kvbucket.Retry(ctx, func(ctx context.Context) (uint64, error) { return h.tryAcquire(ctx, current, above) })
}

func (h *Holder) tryAcquire(ctx context.Context, current, above uint64) (uint64, error) {
	kv, err := kvbucket.OpenBucket(ctx, h.js, bucket, "Laneway: epochs of the services")
	if err != nil {
		return 0, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	found, revision, err := h.read(ctx)
	if err != nil {
		return 0, err
	}
	own := h.own(current)
	next, replaced := own.Next(found, above, time.Now())
	if replaced {
		return 0, backoff.Permanent(h.replaced(own, found))
	}
	// The compare-and-set makes sure that no two instances replace the same assignment.
	if _, err = kv.Update(ctx, h.role, encode(next), revision); err != nil {
		return 0, fmt.Errorf("take the next epoch of role %s: %w", h.role, err)
	}
	return next.Epoch, nil
}

// read asks the leader of the bucket for the assignment of the role, and for the revision of
// its key.
func (h *Holder) read(ctx context.Context) (core.Assignment, uint64, error) {
	entry, err := kvbucket.Get(ctx, h.js.Conn(), bucket, h.role)
	if err != nil {
		return core.Assignment{}, 0, fmt.Errorf("read the epoch of role %s: %w", h.role, err)
	}
	found, err := decode(entry)
	if err != nil {
		return core.Assignment{}, 0, protocol.Errorf(protocol.CodeCorrupt, "the epoch of role %s in bucket %s: %v", h.role, bucket, err)
	}
	return found, entry.Revision, nil
}

// Newest returns the newest epoch of a role; 0 if no instance has started in it.
func Newest(ctx context.Context, js jetstream.JetStream, role string) (uint64, error) {
	found, _, err := (&Holder{js: js, role: role}).read(ctx)
	return found.Epoch, err
}

func (h *Holder) own(epoch uint64) core.Assignment {
	return core.Assignment{Epoch: epoch, Instance: h.instance}
}

func (h *Holder) replaced(own, found core.Assignment) error {
	return fmt.Errorf("role %s, epoch %d, newest epoch %d: %w", h.role, own.Epoch, found.Epoch, ErrReplaced)
}
