package repair

import (
	"context"
	"errors"
	"fmt"

	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// begin creates the new log. If the log of another attempt has the name, it takes the
// next incarnation, because that attempt may still be running.
func (a *accepting) begin(ctx context.Context) (*partitionlog.Continuation, error) {
	a.new = a.old
	for range maxAttempts {
		a.new.Incarnation++
		var target *partitionlog.Continuation
		err := a.bounded(ctx, func(ctx context.Context) (err error) {
			target, err = partitionlog.New(a.Conn, a.JS, a.new).Continue(ctx, a.replicas, a.first)
			return err
		})
		if !errors.Is(err, partitionlog.ErrExists) {
			return target, err
		}
	}
	return nil, fmt.Errorf("%d earlier attempts have left their logs after %s; no more are made", maxAttempts, messages.LogName(a.old))
}

// fill copies the log, and saves snapshot and mark for the next owner.
func (a *accepting) fill(ctx context.Context, target *partitionlog.Continuation) error {
	a.copy = a.newCopying(a.NewState)
	if err := a.copy.run(ctx, target.Append); err != nil {
		return err
	}
	if err := target.Finish(ctx); err != nil {
		return err
	}
	return a.bounded(ctx, a.leaveEvidence)
}

// leaveEvidence saves the snapshot and the mark of the new log.
func (a *accepting) leaveEvidence(ctx context.Context) error {
	// An earlier attempt with this incarnation may have saved one and then failed.
	if err := a.saved.Remove(ctx, a.new); err != nil {
		return err
	}
	if s := a.copy.made.snapshot; s != nil {
		s.Incarnation = a.new.Incarnation
		if err := a.saved.Save(ctx, a.new, s.Sequence, 0, messages.EncodeSnapshot(*s)); err != nil {
			return err
		}
	}
	return a.mark(ctx, messages.Position{Sequence: a.copy.made.sequence, Offset: a.copy.made.offset})
}

// mark writes the exact end of the new log.
func (a *accepting) mark(ctx context.Context, end messages.Position) error {
	before, err := a.marks.Get(ctx, a.new)
	if err != nil {
		return err
	}
	_, err = a.marks.Put(ctx, a.new, messages.Mark{Owner: marks.ByRepair, Written: end, Reserved: end}, before.Revision)
	return err
}
