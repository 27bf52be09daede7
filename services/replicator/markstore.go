package replicator

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/marks"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// markTimeout bounds one attempt to read or write a mark.
const markTimeout = 5 * time.Second

// findMark reads the mark, and retries until it succeeds; false only when the actor ends. The
// result has Damage if the log must not be appended to.
func (p *owner) findMark(ctx context.Context) (core.FoundMark, bool) {
	return untilDone(ctx, p, "the mark of the partition cannot be read; retrying", p.findMarkOnce)
}

func (p *owner) findMarkOnce(ctx context.Context) (core.FoundMark, error) {
	found, err := p.readMark(ctx)
	if err != nil || found.Damage != "" {
		return found, err
	}
	bounded, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	found.Damage, err = p.outdated(bounded)
	return found, err
}

// outdated compares the incarnation in the topic's record with the marks of later ones. If
// one of them had an owner, the record is older than the log, and outdated describes that;
// otherwise it returns an empty string. A mark that a repair has written does not count: the
// repair may have been interrupted before the incarnation had an owner.
func (p *owner) outdated(ctx context.Context) (string, error) {
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
	return "the topic's record in bucket LANEWAY_TOPICS is older than its log, which was continued as " + messages.LogName(newest) +
		": restore the bucket from a newer copy, or correct the record with laneway topic repair " + p.id.Topic + " --accept-loss", nil
}

// readMark reads the mark once.
func (p *owner) readMark(ctx context.Context) (core.FoundMark, error) {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	stored, err := p.service.marks.Get(ctx, p.id)
	if errors.Is(err, protocol.NewError(protocol.CodeCorrupt, "")) {
		return core.FoundMark{Damage: "its mark cannot be read: " + err.Error()}, nil
	}
	return core.FoundMark{Mark: stored.Mark, Revision: stored.Revision, Exists: stored.Exists}, err
}

// mark writes the mark, and retries until the outcome is known.
func (p *owner) mark(ctx context.Context, w core.WriteMark) {
	event, ok := untilDone(ctx, p, "the mark of the partition cannot be written; retrying", func(ctx context.Context) (core.Event, error) {
		return p.writeMark(ctx, w)
	})
	if ok {
		p.put(event)
	}
}

// writeMark tries to write the mark once. If the stored one has another revision than
// expected, it reads that one.
func (p *owner) writeMark(ctx context.Context, w core.WriteMark) (core.Event, error) {
	bounded, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	revision, err := p.service.marks.Put(bounded, p.id, w.Mark, w.Revision)
	if errors.Is(err, marks.ErrMoved) {
		found, err := p.readMark(ctx)
		return core.MarkConflict{Mark: w.Mark, Found: found}, err
	}
	return core.MarkWritten{Mark: w.Mark, Revision: revision}, err
}

// Pauses between the attempts of an operation that fails.
const (
	firstPause   = 5 * time.Millisecond
	longestPause = 100 * time.Millisecond
)

// untilDone repeats an operation until it succeeds; false only when ctx has ended. Every
// twentieth failure, about every two seconds, it logs trouble.
func untilDone[T any](ctx context.Context, p *owner, trouble string, do func(context.Context) (T, error)) (T, bool) {
	for failures := 0; ctx.Err() == nil; failures++ {
		result, err := do(ctx)
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

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
