package repair

import (
	"context"
	"errors"
	"time"

	"laneway.dev/internal/generation"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// gather reads all evidence of how far the log has reached: its stream, the newest snapshot,
// the mark, and what earlier attempts have left.
func (a *planning) gather(ctx context.Context) error {
	a.bounds, a.snapshot, a.first, a.next, a.marked, a.beginOffset = nil, nil, 0, 0, false, 0
	bounds, err := a.log.Bounds(ctx)
	switch {
	case err == nil:
		a.bounds = &bounds
		a.first = bounds.Last
		if a.beginOffset, err = a.log.Begin(ctx, bounds.First); err != nil {
			return err
		}
	case !errors.Is(err, partitionlog.ErrNoLog):
		return err
	}
	if a.archived.lost.Archived() && a.beginOffset == 0 {
		a.beginOffset = a.archived.lost.End.Offset
		if a.archived.begin != nil {
			a.beginOffset = *a.archived.begin
		}
	}
	err = a.known.load(ctx, a.old, func(data []byte) bool {
		s, err := messages.DecodeSnapshot(data)
		if err != nil || s.TopicID != a.old.TopicID || s.Incarnation != a.old.Incarnation {
			return false
		}
		a.snapshot = &s
		a.first, a.next = max(a.first, s.Sequence), s.NextOffset
		return true
	})
	if err != nil {
		return err
	}
	for _, h := range []messages.History{a.history, a.archived.lost} {
		a.first, a.next = max(a.first, h.End.Sequence), max(a.next, h.End.Offset)
	}
	if err := a.gatherMark(ctx); err != nil {
		return err
	}
	for n := range a.later {
		if err := a.gatherLater(ctx, &a.later[n]); err != nil {
			return err
		}
	}
	a.first++
	if a.generation, err = generation.Newest(ctx, a.Conn); err != nil {
		return err
	}
	return a.findEpoch(ctx)
}

// gatherMark adds what the mark reserves.
func (a *planning) gatherMark(ctx context.Context) error {
	mark, err := a.known.mark(ctx, a.old)
	switch {
	case err == nil && mark != nil:
		// An owner never appends beyond its reservation. So a mark that does not cover the
		// known end is an old one, and does not show what was reserved later. So is that of a log which is
		// older than the object store.
		behind, err := a.behind(ctx, a.old)
		if err != nil {
			return err
		}
		a.marked = behind == "" && mark.Reserved.Covers(messages.Position{Sequence: a.first, Offset: a.next})
		if !a.marked {
			a.first += safetyMargin
		}
		a.first, a.next = max(a.first, mark.Reserved.Sequence), max(a.next, mark.Reserved.Offset)
	case err == nil, errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")):
		a.first += safetyMargin
	default:
		return err
	}
	return nil
}

// gatherLater adds the evidence of an incarnation that an earlier attempt has left. It should
// not have been used. If it was, its sequences and offsets are still not used twice.
func (a *planning) gatherLater(ctx context.Context, i *topics.Incarnation) error {
	a.first, a.next = max(a.first, i.Last, i.Reserved.Sequence), max(a.next, i.Reserved.Offset)
	if i.Exists {
		state, err := partitionlog.New(a.Conn, a.JS, i.Partition).State(ctx)
		if err != nil && !errors.Is(err, partitionlog.ErrNoLog) { // its attempt may have deleted it
			return err
		}
		a.first, a.next = max(a.first, state.LastSequence), max(a.next, state.NextOffset)
	}
	return a.known.load(ctx, i.Partition, func(data []byte) bool {
		s, err := messages.DecodeSnapshot(data)
		if err != nil || s.TopicID != i.Partition.TopicID {
			return false
		}
		a.first, a.next = max(a.first, s.Sequence), max(a.next, s.NextOffset)
		return true
	})
}

// findEpoch looks up the highest frontend epoch. If the bucket of epochs is lost, the epoch
// is derived from the time: epochs start at the current Unix time in seconds.
func (a *planning) findEpoch(ctx context.Context) error {
	now := uint64(max(0, time.Now().Unix()))
	newest, err := kvbucket.Retry(ctx, func(ctx context.Context) (uint64, error) {
		newest, err := ownership.Newest(ctx, a.JS, "frontend")
		if kvbucket.IsMissing(err) {
			return now + safetyMargin, nil
		}
		return newest, err
	})
	if errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		newest, err = now+safetyMargin, nil
	}
	a.frontend = max(newest, now)
	return err
}
