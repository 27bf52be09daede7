package produce

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"laneway.dev/internal/ownership"
	"laneway.dev/internal/service"
	"laneway.dev/pkg/messages"
)

// claimTimeout is how long a start waits for an epoch. After that the frontend starts without
// one, because fetches need no epoch: if JetStream cannot write because its disk is full,
// records can still be fetched.
const claimTimeout = 5 * time.Second

// Epoch is the frontend epoch of this process, which all partitions share. It is safe for
// concurrent use.
type Epoch struct {
	config  EpochConfig
	holder  atomic.Pointer[ownership.Holder] // nil before an epoch is taken
	claimed chan struct{}                    // closed when one is

	mu         sync.Mutex // held while a higher epoch is taken
	subscribed uint64     // the highest epoch whose subject is subscribed
}

// EpochConfig is what an Epoch needs.
type EpochConfig struct {
	JS     jetstream.JetStream
	Logger *zap.Logger
	// Subscribe returns when messages to the subject arrive, or ctx ends.
	Subscribe func(ctx context.Context, subject string) error
	Ending    *service.Ending // fails when a younger frontend exists
}

// NewEpoch returns an Epoch without a number. Claim takes one.
func NewEpoch(config EpochConfig) *Epoch {
	return &Epoch{config: config, claimed: make(chan struct{})}
}

// Claim takes an epoch, and then watches for a younger frontend until ctx ends. It MUST be
// called exactly once. If it returns ErrReplaced, the service has ended.
func (e *Epoch) Claim(ctx context.Context) error {
	holder, err := ownership.Hold(ctx, e.config.JS, "frontend")
	if err != nil {
		return err
	}
	// The subscription comes first, because answers to the first Announce go to this subject.
	if err := e.config.Subscribe(ctx, messages.FrontendWildcard(holder.Epoch())); err != nil {
		if ctx.Err() == nil {
			e.config.Ending.Fail(err)
		}
		return err
	}
	e.subscribed = holder.Epoch()
	e.holder.Store(holder)
	close(e.claimed)
	e.config.Logger.Info("frontend is running", zap.Uint64("epoch", holder.Epoch()))
	err = holder.Watch(ctx)
	e.config.Ending.FailIfReplaced(err)
	return err
}

// Await returns when an epoch is taken, or after claimTimeout without one. claim receives
// the result of Claim.
func (e *Epoch) Await(ctx context.Context, claim <-chan error) error {
	timer := time.NewTimer(claimTimeout)
	defer timer.Stop()
	select {
	case <-e.claimed:
	case err := <-claim:
		return err
	case <-timer.C:
		e.config.Logger.Warn("no frontend epoch can be taken; until one is, produce requests fail and fetches work. If JetStream's disk is full, " +
			"make room and restart the NATS server")
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Number returns the current epoch; 0 before one is taken.
func (e *Epoch) Number() uint64 {
	if holder := e.holder.Load(); holder != nil {
		return holder.Epoch()
	}
	return 0
}

// checkTimeout bounds a check. It is short, because a log stands still during its check.
const checkTimeout = time.Second

// check ends the service if a younger frontend exists. If that cannot be read, it proves nothing,
// and the service goes on.
func (e *Epoch) check(ctx context.Context) {
	holder := e.holder.Load()
	if holder == nil {
		return // nothing was taken that another frontend could replace
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	e.config.Ending.FailIfReplaced(holder.Check(ctx))
}

// raise returns an epoch above the one that has fenced a partition. If several partitions
// are fenced, the first call takes the epoch and the others get the same one. ErrReplaced
// means that a younger frontend exists; the service then ends.
func (e *Epoch) raise(ctx context.Context, above uint64) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	next, err := e.holder.Load().Raise(ctx, above)
	e.config.Ending.FailIfReplaced(err)
	if err != nil || next == e.subscribed {
		return next, err
	}
	e.config.Logger.Warn("a log or another service has seen a higher frontend epoch; took one above it", zap.Uint64("epoch", next))
	if err := e.config.Subscribe(ctx, messages.FrontendWildcard(next)); err != nil {
		return 0, err
	}
	e.subscribed = next
	return next, nil
}
