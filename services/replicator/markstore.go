package replicator

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/marks"
	"laneway.dev/pkg/protocol"
)

// markTimeout bounds one attempt to read or write a mark.
const markTimeout = 2 * time.Second

// findMark reads the mark, for as long as it takes; false only when the actor ends.
func (p *partition) findMark(ctx context.Context) (FoundMark, bool) {
	return untilDone(ctx, p, "the mark of the partition cannot be read; trying again until it can", func(ctx context.Context) (FoundMark, error) {
		stored, err := p.service.marks.Get(ctx, p.id)
		if errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
			return FoundMark{Corrupt: "its mark cannot be read: " + err.Error()}, nil
		}
		return FoundMark{Mark: stored.Mark, Revision: stored.Revision, Exists: stored.Exists}, err
	})
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
