package ownership

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Holder is the epoch of one instance of a role. It is safe for concurrent use.
type Holder struct {
	js       jetstream.JetStream
	role     string
	instance string

	epoch atomic.Uint64
	mu    sync.Mutex // held while an epoch is taken: partitions that are fenced at the same time share it
}

// Hold takes an epoch for a new instance of a role, above all earlier ones. It tries for as
// long as ctx lives: JetStream may have no leader for seconds.
func Hold(ctx context.Context, js jetstream.JetStream, role string) (*Holder, error) {
	h := &Holder{js: js, role: role, instance: nuid.Next()}
	first, err := h.acquire(ctx, 0, 0)
	if err != nil {
		return nil, err
	}
	h.epoch.Store(first)
	return h, nil
}

// Epoch returns the newest epoch of the instance.
func (h *Holder) Epoch() uint64 { return h.epoch.Load() }

// Raise returns an epoch of this instance above the one that has fenced it. It is for an
// owner that was fenced by an epoch that is not below its own. ErrReplaced means that a
// younger instance exists. Otherwise the bucket of epochs was lost, and its numbers have
// started again.
func (h *Holder) Raise(ctx context.Context, above uint64) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	current := h.Epoch()
	if current > above {
		return current, nil // another partition was fenced first
	}
	next, err := h.acquire(ctx, current, above)
	if err == nil {
		h.epoch.Store(next)
	}
	return next, err
}

// Check reads the assignment of the role. ErrReplaced means that a younger instance exists.
// Any other error means that the assignment cannot be read at present, which proves nothing.
func (h *Holder) Check(ctx context.Context) error {
	found, _, err := h.read(ctx)
	if own := h.own(h.Epoch()); err == nil && own.ReplacedBy(found) {
		return h.replaced(own, found)
	}
	return err
}

// Times of Watch. An instance that was replaced notices within a lease of 2 s, as long
// as JetStream answers.
const (
	watchInterval = time.Second
	watchTimeout  = time.Second
)

// Watch checks the assignment again and again until ctx ends, and returns ErrReplaced
// once a younger instance exists; idle instances learn of it in no other way.
func (h *Holder) Watch(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		bounded, cancel := context.WithTimeout(ctx, watchTimeout)
		err := h.Check(bounded)
		cancel()
		if errors.Is(err, ErrReplaced) {
			return err
		}
	}
}
