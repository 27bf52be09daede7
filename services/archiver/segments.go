package archiver

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/archiver/core"
)

// putSegment stores the segment of a job.
func (w *worker) putSegment(ctx context.Context, plan *core.Plan) (s segment.Summary, err error) {
	_, err = w.put(ctx, objectstore.NewSegmentKey, func(key string) (parts [][]byte, err error) {
		parts, s, err = plan.Build(key)
		return parts, err
	}, func(ctx context.Context, _ string) error { return w.checkSegment(ctx, plan, s) })
	if err != nil {
		return s, fmt.Errorf("store the segment: %w", err)
	}
	return s, nil
}

// checkSegment reads a segment back: its footer, its pages, and all frames.
func (w *worker) checkSegment(ctx context.Context, plan *core.Plan, s segment.Summary) error {
	footer, _, err := w.parts().Footer(ctx, s.Key, s.Size)
	if err != nil {
		return err
	}
	if footer.Summary != s {
		return errors.New("the footer describes another segment")
	}
	for page := range footer.Pages {
		entries, err := w.parts().Page(ctx, footer, page)
		if err == nil {
			err = plan.Compare(entries)
		}
		if err == nil {
			err = w.checkFrames(ctx, entries)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkFrames reads the frames of entries, and compares their checksums.
func (w *worker) checkFrames(ctx context.Context, entries []messages.LoggedEntry) error {
	var stored []messages.Extent
	frames := make(map[messages.Extent][]messages.Extent) // of what is stored
	for i := range entries {
		for j := range entries[i].Entry.Batches {
			x := entries[i].Entry.Batches[j].Extent
			if x.Length == 0 {
				continue // it could not be read
			}
			at := x.Stored()
			if len(frames[at]) == 0 {
				stored = append(stored, at)
			}
			frames[at] = append(frames[at], x)
		}
	}
	tries := newPatience(w.patience)
	for len(stored) > 0 {
		left, err := w.checkStored(ctx, stored, frames)
		if objectstore.IsDamage(err) || errors.Is(err, objectstore.ErrMedium) {
			return err
		}
		if len(left) < len(stored) {
			tries.further()
		}
		if stored = left; len(left) == 0 {
			return nil
		}
		if err := tries.wait(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// checkStored is one attempt of checkFrames. It returns what is left after requests that failed.
func (w *worker) checkStored(ctx context.Context, stored []messages.Extent, frames map[messages.Extent][]messages.Extent) (left []messages.Extent, err error) {
	var mu sync.Mutex
	w.extents.Read(ctx, stored, func(i int, content []byte, failed error) {
		if failed == nil {
			failed = checkBlock(stored[i], content, frames[stored[i]])
		}
		if failed == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if left = append(left, stored[i]); !objectstore.IsDamage(err) {
			err = failed
		}
	})
	return left, err
}

// checkBlock compares the frames of a block with their checksums. Extents.Read has compared what
// is stored.
func checkBlock(stored messages.Extent, content []byte, frames []messages.Extent) error {
	if !stored.Compressed() {
		return nil
	}
	block, err := objectstore.Decompress(stored, content)
	for i := 0; i < len(frames) && err == nil; i++ {
		_, err = objectstore.Frame(frames[i], block)
	}
	return err
}
