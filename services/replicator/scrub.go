package replicator

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

const (
	// scrubStep is how many entries are read between two pauses of a scrub, which together
	// leave the log alone for nine tenths of the time.
	scrubStep  = 256
	scrubPause = 9
	// scrubAgain is after what time a log is scrubbed again that could not be read, or had
	// lost entries.
	scrubAgain = 10 * time.Second
)

// scrub reads the entries up to a sequence. The owner has not read them, because a snapshot
// covers them, and JetStream notices only on reading that its files are damaged. It tells
// the core what is missing, until everything is there. One log of the service is scrubbed
// at a time.
func (p *partition) scrub(ctx context.Context, to uint64) {
	for ctx.Err() == nil {
		lost, err := p.scrubOnce(ctx, to)
		switch {
		case err != nil && ctx.Err() == nil:
			p.service.config.Logger.Warn("the beginning of the log could not be looked through; trying again",
				zap.Stringer("partition", p.id), zap.Error(err))
		case err == nil:
			_ = p.mailbox.Put(ctx, Scrubbed{lost}) // again and again, because the core may be a new one
			if lost == "" {
				return
			}
		}
		pause(ctx, scrubAgain)
	}
}

// scrubOnce returns what is missing, empty if nothing is.
func (p *partition) scrubOnce(ctx context.Context, to uint64) (string, error) {
	select {
	case p.service.scrubs <- struct{}{}:
		defer func() { <-p.service.scrubs }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	bounds, err := p.log.Bounds(ctx)
	if err != nil || bounds.First > to {
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
	err = p.log.Walk(ctx, bounds.First, to, breathe, func(m partitionlog.Missing) error {
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
