package archiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/archiver/core"
)

// frames reads the frames of a job from the object store, and hands them over to the plan, which has
// those of inline batches.
func (w *worker) frames(ctx context.Context, job messages.Archive, plan *core.Plan) error {
	if err := plan.Corrupt(); err != nil {
		if !job.GiveUp {
			return fmt.Errorf("a batch cannot be read: %w", err)
		}
		w.log.Warn("batches are given up, because they cannot be read", zap.Stringer("partition", job.Partition), zap.Error(err))
	}
	tries := newPatience(w.patience)
	left := plan.Reads()
	for alone := false; len(left) > 0; {
		round := w.readFrames(ctx, plan, left, alone)
		switch {
		case round.unreadable != nil && !job.GiveUp:
			return round.unreadable
		case round.unreadable != nil:
			w.log.Warn("batches are given up, because they cannot be read", zap.Stringer("partition", job.Partition), zap.Error(round.unreadable))
		}
		if len(round.left) < len(left) {
			tries.further()
		}
		if left = round.left; len(left) == 0 {
			break
		}
		// An error of the medium concerns one extent, but it has ended the reads of the others.
		alone = job.GiveUp && errors.Is(round.err, objectstore.ErrMedium)
		if alone {
			continue
		}
		if errors.Is(round.err, objectstore.ErrMedium) {
			round.err = final{round.err}
		}
		if err := tries.wait(ctx, round.err); err != nil {
			return fmt.Errorf("a batch cannot be read: %w", err)
		}
	}
	return nil
}

// round is what one attempt to read frames has left.
type round struct {
	unreadable error // of what cannot be read, and will not be read again
	left       []core.Read
	err        error // why those are left
}

// readFrames reads what is left, or one after the other if alone is set.
func (w *worker) readFrames(ctx context.Context, plan *core.Plan, reads []core.Read, alone bool) (r round) {
	var mu sync.Mutex
	take := func(read core.Read, content []byte, err error) {
		if err == nil {
			err = unpack(plan, read, content)
		}
		if err == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if objectstore.IsDamage(err) || alone && errors.Is(err, objectstore.ErrMedium) {
			r.unreadable = fmt.Errorf("a batch cannot be read: %w", err)
			return
		}
		r.left, r.err = append(r.left, read), err
	}
	if alone {
		for _, read := range reads {
			w.extents.Read(ctx, []messages.Extent{read.Stored}, func(_ int, content []byte, err error) { take(read, content, err) })
		}
		return r
	}
	stored := make([]messages.Extent, len(reads))
	for i := range reads {
		stored[i] = reads[i].Stored
	}
	w.extents.Read(ctx, stored, func(i int, content []byte, err error) { take(reads[i], content, err) })
	return r
}

// unpack hands the frames of what is stored over to the plan. The error is damage.
func unpack(plan *core.Plan, read core.Read, content []byte) error {
	if !read.Stored.Compressed() {
		// A copy, because the content may share the memory of what lies beside it in the object.
		plan.Frame(read.Batches[0], bytes.Clone(content))
		return nil
	}
	block, err := objectstore.Decompress(read.Stored, content)
	if err != nil {
		return err
	}
	var damage error
	for _, ref := range read.Batches {
		frame, err := objectstore.Frame(plan.Extent(ref), block)
		if err != nil {
			damage = err
			continue
		}
		plan.Frame(ref, frame)
	}
	return damage
}
