package replicator

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/marks"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// markTimeout bounds one attempt to read or write a mark.
const markTimeout = 2 * time.Second

// findMark reads the mark, for as long as it takes; false only when the actor ends.
func (p *partition) findMark(ctx context.Context) (FoundMark, bool) {
	return untilDone(ctx, p, "the mark of the partition cannot be read; trying again until it can", func(ctx context.Context) (FoundMark, error) {
		stored, err := p.service.marks.Get(ctx, p.id)
		if errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
			return FoundMark{Damage: "its mark cannot be read: " + err.Error()}, nil
		}
		if err != nil {
			return FoundMark{}, err
		}
		damage, err := p.outdated(ctx)
		return FoundMark{Mark: stored.Mark, Revision: stored.Revision, Exists: stored.Exists, Damage: damage}, err
	})
}

// outdated returns how marks show that the topic's record names an earlier incarnation of
// the log than the last one that had an owner; empty if they do not.
func (p *partition) outdated(ctx context.Context) (string, error) {
	later, err := p.service.marks.Later(ctx, p.id)
	if errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		return "the mark of a later incarnation of its log cannot be read: " + err.Error(), nil
	}
	newest := p.id
	for n, mark := range later {
		if mark.Owner != marks.ByRepair {
			newest.Incarnation = max(newest.Incarnation, n)
		}
	}
	if err != nil || newest == p.id {
		return "", err
	}
	return "the topic's record in bucket LANEWAY_TOPICS is older than its log, which was continued in stream " + messages.LogStream(newest) +
		": restore the bucket from a newer copy, or correct the record with laneway topic repair " + p.id.Topic + " --accept-loss", nil
}

// mark writes the mark, for as long as it takes to know what became of it.
func (p *partition) mark(ctx context.Context, w WriteMark) {
	event, ok := untilDone(ctx, p, "the mark of the partition cannot be written; trying again until it can", func(ctx context.Context) (Event, error) {
		return p.writeMark(ctx, w)
	})
	if ok {
		_ = p.mailbox.Put(ctx, event)
	}
}

// writeMark writes the mark once. A mark that is not the expected one may be the one that
// an earlier attempt has written, whose answer was lost.
func (p *partition) writeMark(ctx context.Context, w WriteMark) (Event, error) {
	revision, err := p.service.marks.Put(ctx, p.id, w.Mark, w.Revision)
	if err == nil {
		return MarkWritten{w.Mark, revision}, nil
	}
	if !errors.Is(err, marks.ErrMoved) {
		return nil, err
	}
	stored, err := p.service.marks.Get(ctx, p.id)
	switch {
	case err != nil:
		return nil, err
	case stored.Exists && stored.Mark == w.Mark:
		return MarkWritten{w.Mark, stored.Revision}, nil
	}
	return MarkMoved{}, nil
}

// untilDone tries an operation until it succeeds; false only when ctx has ended.
func untilDone[T any](ctx context.Context, p *partition, trouble string, do func(context.Context) (T, error)) (T, bool) {
	for failures := 0; ctx.Err() == nil; failures++ {
		bounded, cancel := context.WithTimeout(ctx, markTimeout)
		result, err := do(bounded)
		cancel()
		if err == nil {
			return result, true
		}
		const often = 20
		if (failures+1)%often == 0 && ctx.Err() == nil {
			p.service.config.Logger.Warn(trouble, zap.Stringer("partition", p.id), zap.Error(err))
		}
		pause(ctx, min(firstPause<<min(failures, often), longestPause))
	}
	var none T
	return none, false
}
