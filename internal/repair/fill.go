package repair

import (
	"context"
	"errors"
	"fmt"
	"time"

	"laneway.dev/internal/generation"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// begin creates the new stream. If the stream of another attempt has the name, it takes the
// next incarnation, because that attempt may still be running.
func (a *accepting) begin(ctx context.Context) (*partitionlog.Continuation, error) {
	const most = 1000
	a.new = a.old
	for range most {
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
	return nil, fmt.Errorf("%d earlier attempts have left their streams; delete those after %s", most, messages.LogStream(a.old))
}

// fill copies the log, and saves snapshot and mark for the next owner.
func (a *accepting) fill(ctx context.Context, target *partitionlog.Continuation) error {
	begins := a.begins()
	err := a.bounded(ctx, func(ctx context.Context) (err error) {
		begins.generation, err = generation.Newest(ctx, a.Conn)
		return err
	})
	if err != nil {
		return err
	}
	made, created := newContinuation(a.old, a.first, begins)
	a.made = made
	if err := a.bounded(ctx, func(ctx context.Context) error { return target.Append(ctx, created) }); err != nil {
		return err
	}
	if err := a.copy(ctx, target); err != nil {
		return err
	}
	if !a.marked || made.offset > a.next {
		a.next = max(a.next, made.offset) + safetyMargin
	}
	end := made.finish(a.next, a.frontend, time.Now().UnixNano())
	if err := target.Append(ctx, end); err != nil {
		return err
	}
	if err := target.Finish(ctx); err != nil {
		return err
	}
	return a.bounded(ctx, a.leaveEvidence)
}

// begins returns where the new stream begins.
func (a *accepting) begins() beginning {
	b := beginning{offset: a.beginOffset, snapshot: a.snapshot}
	if a.history.Archived() {
		b.offset, b.history, b.time, b.rising = a.history.End.Offset, a.history, a.last.LastTime, a.last.RisingFrom
	}
	return b
}

// leaveEvidence saves the snapshot and the mark of the new stream.
func (a *accepting) leaveEvidence(ctx context.Context) error {
	// An earlier attempt with this incarnation may have saved one and then failed.
	if err := a.saved.Remove(ctx, a.new); err != nil {
		return err
	}
	if s := a.made.snapshot; s != nil {
		s.Incarnation = a.new.Incarnation
		if err := a.saved.Save(ctx, a.new, s.Sequence, 0, messages.EncodeSnapshot(*s)); err != nil {
			return err
		}
	}
	return a.mark(ctx, messages.Position{Sequence: a.made.sequence, Offset: a.made.offset})
}

// copy copies the entries that are not archived. Of those that are, it keeps the state.
func (a *accepting) copy(ctx context.Context, target *partitionlog.Continuation) error {
	archived := newArchivedState(a)
	if a.bounds == nil {
		archived.finish()
		a.stateLost = a.snapshot == nil
		return nil
	}
	begun := false // the log has its first entry
	err := a.log.Walk(ctx, a.bounds.First, a.bounds.Last, func(e messages.LoggedEntry) error {
		begun = begun || e.Sequence == a.bounds.First && e.Entry.Created
		if archived.entry(&e) {
			return nil
		}
		entries, err := a.made.entry(&e)
		if err != nil {
			return err
		}
		a.copied++
		a.addProgress(Progress{Entries: 1})
		for _, n := range entries {
			if err := target.Append(ctx, n); err != nil {
				return err
			}
		}
		return nil
	}, func(m partitionlog.Missing) error {
		if m.Last > a.history.End.Sequence {
			archived.finish()
			a.made.missing(m)
		}
		return nil
	})
	archived.finish()
	a.stateLost = a.snapshot == nil && !begun
	return err
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
