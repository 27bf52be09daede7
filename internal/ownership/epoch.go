// Package ownership gives every start of a service an epoch of its own, higher than
// those of all earlier starts. Epochs fence: what an older one says is void.
//
// The newest epoch of a role is a key of the bucket LANEWAY_EPOCHS: the assignment of
// the role. Whoever took it is the owner; all others have been replaced.
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

	"laneway.dev/internal/kvbucket"
	"laneway.dev/pkg/protocol"
)

const bucket = "LANEWAY_EPOCHS"

// ErrReplaced says that another instance has started in this role. The older
// one must stop at once and stay silent.
var ErrReplaced = errors.New("another instance has started in this role")

// record is what the bucket knows of a role. The zero record is that of a role whose
// key does not exist: nobody has started, or the bucket was lost.
type record struct {
	epoch    uint64
	instance string // that has taken it
}

// replaces reports whether the record proves that an instance with this epoch is not
// the newest one any more. A lower epoch proves nothing, because the bucket may have
// been lost or restored. A higher one that the instance took itself does not either:
// the acknowledgement of that may have been lost.
func (r record) replaces(instance string, mine uint64) bool {
	return r.epoch > mine && r.instance != instance
}

func (r record) encode() []byte { return []byte(strconv.FormatUint(r.epoch, 10) + " " + r.instance) }

// decode reads the value of a key. The epoch of a bucket that began at 1 is a revision.
func decode(e kvbucket.Entry) (record, error) {
	if !e.Exists {
		return record{}, nil
	}
	number, instance, _ := strings.Cut(string(e.Value), " ")
	bound, err := strconv.ParseUint(number, 10, 64)
	return record{max(bound, e.Revision), instance}, err
}

// acquire takes the next epoch of a role for an instance, above all earlier ones and
// above what it was told, unless another instance has taken one above mine.
func (h *Holder) acquire(ctx context.Context, mine, above uint64) (uint64, error) {
	return kvbucket.Retry(ctx, func(ctx context.Context) (uint64, error) { return h.tryAcquire(ctx, mine, above) })
}

func (h *Holder) tryAcquire(ctx context.Context, mine, above uint64) (uint64, error) {
	kv, err := kvbucket.OpenBucket(ctx, h.js, bucket, "Laneway: epochs of the services")
	if err != nil {
		return 0, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	found, revision, err := h.read(ctx)
	if err != nil {
		return 0, err
	}
	if found.replaces(h.instance, mine) {
		return 0, backoff.Permanent(h.replacedBy(found, mine))
	}
	next := max(found.epoch, above) + 1
	if revision == 0 {
		next = max(next, uint64(max(0, time.Now().Unix())))
	}
	// The compare-and-set makes sure that no two starts see the same previous epoch.
	revision, err = kv.Update(ctx, h.role, record{next, h.instance}.encode(), revision)
	if err != nil {
		return 0, fmt.Errorf("take the next epoch of role %s: %w", h.role, err)
	}
	return max(revision, next), nil
}

// read asks the leader of the bucket for the newest epoch of the role, and for the
// revision of its key.
func (h *Holder) read(ctx context.Context) (record, uint64, error) {
	entry, err := kvbucket.Get(ctx, h.js.Conn(), bucket, h.role)
	if err != nil {
		return record{}, 0, fmt.Errorf("read the epoch of role %s: %w", h.role, err)
	}
	found, err := decode(entry)
	if err != nil {
		return record{}, 0, protocol.Errorf(protocol.CodeCorrupt, "the epoch of role %s in bucket %s: %v", h.role, bucket, err)
	}
	return found, entry.Revision, nil
}

// Newest returns the newest epoch of a role; 0 if no instance has started in it.
func Newest(ctx context.Context, js jetstream.JetStream, role string) (uint64, error) {
	found, _, err := (&Holder{js: js, role: role}).read(ctx)
	return found.epoch, err
}

func (h *Holder) replacedBy(found record, mine uint64) error {
	return fmt.Errorf("role %s, epoch %d, newest epoch %d: %w", h.role, mine, found.epoch, ErrReplaced)
}
