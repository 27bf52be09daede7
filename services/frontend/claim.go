package frontend

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/ownership"
	"laneway.dev/pkg/messages"
)

// claimPatience is how long a start waits for an epoch. A disk of JetStream that is full
// takes none, but everything that is stored can be read: fetches need no epoch.
const claimPatience = 5 * time.Second

// await takes an epoch. After a while it returns without one, and the goroutine that
// tries continues for as long as watch lives.
func (s *Service) await(ctx, watch context.Context) error {
	failed := make(chan error, 1)
	s.wait.Go(func() { failed <- s.claim(watch) })
	timer := time.NewTimer(claimPatience)
	defer timer.Stop()
	select {
	case <-s.claimed:
	case err := <-failed:
		return err
	case <-timer.C:
		s.config.Logger.Warn("no epoch can be taken; until one is, nothing can be produced, but what is stored can be fetched. Does JetStream write? " +
			"Make room on its disk and restart the NATS server")
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// claim takes an epoch, and watches until ctx ends that no younger instance takes one.
func (s *Service) claim(ctx context.Context) error {
	holder, err := ownership.Hold(ctx, s.js, role)
	if err != nil {
		return err
	}
	// What is sent to its epoch is received.
	if err := s.subscribe(messages.FrontendSubject(holder.Epoch())); err != nil {
		s.ending.Fail(fmt.Errorf("frontend: %w", err))
		return err
	}
	s.epoch.Store(holder)
	close(s.claimed)
	s.config.Logger.Info("frontend is running", zap.Uint64("epoch", holder.Epoch()))
	s.endIfReplaced(holder.Watch(ctx))
	return nil
}

// number returns the newest epoch of the service; 0 before it has one.
func (s *Service) number() uint64 {
	holder := s.epoch.Load()
	if holder == nil {
		return 0
	}
	return holder.Epoch()
}
