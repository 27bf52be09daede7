package stager

import (
	"context"
	"time"

	"laneway.dev/pkg/messages"
)

// announce announces until ctx ends that the stager is alive. It stops before the
// subscriptions end, so that frontends send nothing to this stager by its name that would
// arrive too late.
//
// If the actor takes no turns, nothing is announced: batches that wait for the actor are
// not reported as held either, and the frontends have them staged by another stager.
func (s *Service) announce(ctx context.Context) {
	tick := time.NewTicker(messages.ReportInterval)
	defer tick.Stop()
	for {
		if s.turned.Swap(false) {
			// A failure means that the connection is down, which is logged by itself.
			_ = s.config.Conn.Publish(messages.AliveSubject(s.settings.Name), nil)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Name returns the name of this instance, which is random.
func (s *Service) Name() string { return s.settings.Name }
