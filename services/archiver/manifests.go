package archiver

import (
	"context"
	"fmt"
	"sync"

	"go.uber.org/zap"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/archiver/core"
)

// base reads the manifest that a job builds on.
func (w *worker) base(ctx context.Context, job messages.Archive) (*manifest.Manifest, error) {
	if !job.Base.Archived() {
		return core.Base(job, nil)
	}
	decoded, err := w.parts().Manifest(ctx, job.Base.Manifest, job.Base.Size)
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	return core.Base(job, decoded)
}

// list returns the manifest that lists the segment of a job after those of m, or instead of the last
// of them. If m is full, it stores a list of the oldest ones.
func (w *worker) list(ctx context.Context, plan *core.Plan, m *manifest.Manifest, s segment.Summary) (*manifest.Manifest, error) {
	next, full, err := plan.Manifest(m, "", s, "")
	if err != nil || full == nil {
		return next, err
	}
	key, err := w.putList(ctx, full)
	if err != nil {
		return nil, err
	}
	next, _, err = plan.Manifest(m, "", s, key)
	return next, err
}

// retain returns the manifest without the segments that are to be dropped. It stores the rest of a
// list.
func (w *worker) retain(ctx context.Context, m *manifest.Manifest, r messages.Retention) (*manifest.Manifest, error) {
	next, rest, err := m.Retain(r, w.readList(ctx))
	if err != nil {
		return nil, fmt.Errorf("read a list of segments: %w", err)
	}
	if rest == nil {
		return next, nil
	}
	key, err := w.putList(ctx, rest)
	next.SetRest(key)
	return next, err
}

func (w *worker) readList(ctx context.Context) func(key string) (*manifest.List, error) {
	return func(key string) (*manifest.List, error) { return w.parts().List(ctx, key) }
}

func (w *worker) putList(ctx context.Context, l *manifest.List) (string, error) {
	var content []byte
	key, err := w.put(ctx, objectstore.NewManifestKey, func(key string) ([][]byte, error) {
		l.Key = key
		content = manifest.EncodeList(l)
		return [][]byte{content}, nil
	}, w.same(&content))
	if err != nil {
		return "", fmt.Errorf("store a list of segments: %w", err)
	}
	return key, nil
}

// putManifest stores the manifest of a job, which replaces base.
func (w *worker) putManifest(ctx context.Context, job messages.Archive, base, m *manifest.Manifest) (h messages.History, err error) {
	oldest, err := core.Oldest(job, base, m, w.readList(ctx))
	if err != nil {
		return h, fmt.Errorf("read a list of segments: %w", err)
	}
	var content []byte
	_, err = w.put(ctx, objectstore.NewManifestKey, func(key string) ([][]byte, error) {
		content, h = core.Seal(m, key, oldest)
		return [][]byte{content}, nil
	}, w.same(&content))
	if err != nil {
		return h, fmt.Errorf("store the manifest of %s: %w", job.Partition, err)
	}
	return h, nil
}

// deletions is how many objects are deleted at the same time.
const deletions = 8

// deleteWaiting deletes what waits for its deletion in the manifest that a job builds on. That
// manifest stands in the log, so nothing that is read refers to these objects. Keys whose deletion
// fails are returned, and wait in the next manifest as well. After a failure, no further deletion
// begins: a store that hangs must not hold up the job.
func (w *worker) deleteWaiting(ctx context.Context, of protocol.Partition, keys []string) (left []string) {
	var mu sync.Mutex
	var failed error
	next := func() (string, bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(keys) == 0 || failed != nil {
			return "", false
		}
		key := keys[0]
		keys = keys[1:]
		return key, true
	}
	var all sync.WaitGroup
	for range min(deletions, len(keys)) {
		all.Go(func() {
			for key, some := next(); some; key, some = next() {
				if err := w.delete(ctx, key); err != nil {
					mu.Lock()
					left, failed = append(left, key), err
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if left = append(left, keys...); failed != nil && ctx.Err() == nil {
		w.log.Warn("objects that are not needed any more could not be deleted; the next job tries again",
			zap.Stringer("partition", of), zap.Int("objects", len(left)), zap.Error(failed))
	}
	return left
}

func (w *worker) delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime(0))
	defer cancel()
	return w.store.Delete(ctx, key)
}
