package archiver

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/archiver/core"
)

// maxUnmerged bounds the memory for segments that cannot be merged.
const maxUnmerged = 1000

// unmerged are the keys of segments that could not be read in order to merge them. They are not read
// again for each job. It is safe for concurrent use.
type unmerged struct {
	mu   sync.Mutex
	keys map[string]bool
}

func (u *unmerged) has(key string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.keys[key]
}

func (u *unmerged) add(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.keys == nil || len(u.keys) >= maxUnmerged {
		u.keys = make(map[string]bool)
	}
	u.keys[key] = true
}

// merge has the segment of a job replace small ones before it. A failure does not concern the job:
// the small segments stay as they are, and a later job may replace them.
func (w *worker) merge(ctx context.Context, job messages.Archive, plan *core.Plan, base *manifest.Manifest) {
	n, err := plan.Mergeable(base, w.unmerged.has)
	if err != nil || n == 0 {
		return // putSegment returns the error again
	}
	segments := make([]*segment.Whole, n)
	for i, s := range base.Segments[len(base.Segments)-n:] {
		if segments[i], err = w.readSegment(ctx, s); err != nil {
			if ctx.Err() == nil {
				w.log.Warn("a segment could not be read in order to merge it with others, so it stays as it is",
					zap.Stringer("partition", job.Partition), zap.String("segment", s.Key), zap.Error(err))
			}
			if objectstore.IsDamage(err) || errors.Is(err, protocol.ErrMalformed) {
				w.unmerged.add(s.Key)
			}
			return
		}
	}
	if !plan.Merge(segments) {
		w.log.Debug("segments are not merged, because the archiver has too little memory", zap.Stringer("partition", job.Partition))
	}
}

// readSegment reads a segment as a whole, and checks all of it: what is wrong would be wrong in the
// merged segment as well, and consumers lose only what is damaged.
func (w *worker) readSegment(ctx context.Context, s segment.Summary) (*segment.Whole, error) {
	object, err := w.readOnce(ctx, archive.Part{Key: s.Key, Length: s.Size})
	if err != nil {
		return nil, err
	}
	whole, err := segment.Parse(s.Key, object)
	if err != nil {
		return nil, err
	}
	if whole.Summary != s {
		return nil, fmt.Errorf("%w: it is not the segment that the manifest lists", protocol.ErrMalformed)
	}
	return whole, checkContent(whole)
}

// checkContent compares all frames of a segment with their checksums.
func checkContent(w *segment.Whole) error {
	frames := make(map[messages.Extent][]messages.Extent) // of what is stored
	for i := range w.Entries {
		for j := range w.Entries[i].Entry.Batches {
			if x := w.Entries[i].Entry.Batches[j].Extent; x.Length > 0 {
				frames[x.Stored()] = append(frames[x.Stored()], x)
			}
		}
	}
	for stored, some := range frames {
		content := w.Content(stored)
		if err := objectstore.Verify(stored, content); err != nil {
			return err
		}
		if err := checkBlock(stored, content, some); err != nil {
			return err
		}
	}
	return nil
}
