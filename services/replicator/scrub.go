package replicator

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

const (
	// scrubStep is how many entries a scrub reads before it pauses. The pause is scrubPause
	// times as long as the reading took, so that a scrub uses a tenth of the time.
	scrubStep  = 256
	scrubPause = 9
)

// scrub reads the entries from one sequence to another, and reports missing ones to
// the core. The service scrubs one log at a time.
func (p *owner) scrub(ctx context.Context, s core.Scrub) {
	pause(ctx, s.After)
	lost, err := p.scrubOnce(ctx, s)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.service.config.Logger.Warn("the beginning of the log could not be checked; retrying",
			zap.Stringer("partition", p.id), zap.Error(err))
	}
	p.put(core.Scrubbed{Damage: lost, Failed: err != nil})
}

// scrubOnce returns what is missing; empty if nothing is.
func (p *owner) scrubOnce(ctx context.Context, s core.Scrub) (string, error) {
	select {
	case p.service.scrubs <- struct{}{}:
		defer func() { <-p.service.scrubs }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	bounds, err := p.log.Bounds(ctx)
	if err != nil {
		return "", err
	}
	read, since := 0, time.Now()
	breathe := func(messages.LoggedEntry) error {
		if read++; read%scrubStep == 0 {
			pause(ctx, scrubPause*time.Since(since))
			since = time.Now()
		}
		return ctx.Err()
	}
	var first *partitionlog.Missing
	lost := uint64(0)
	err = p.log.Walk(ctx, max(s.From, bounds.First), s.To, breathe, func(m partitionlog.Missing) error {
		if lost += m.Last - m.First + 1; first == nil {
			first = &m
		}
		return nil
	})
	if err != nil || first == nil {
		return "", err
	}
	return fmt.Sprintf("%d entries of its log cannot be read, entry %d first: %s", lost, first.First, first.Reason), nil
}
