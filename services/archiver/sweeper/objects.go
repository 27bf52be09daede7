package sweeper

import (
	"context"
	"iter"
	"sync"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/services/archiver/core/sweep"
)

const (
	// pageObjects is how many objects are listed before some of them are deleted.
	pageObjects = 1000
	// deletesAtOnce bounds the deletes that are under way.
	deletesAtOnce = 8
	// deleteTime bounds the delete of an object.
	deleteTime = 30 * time.Second
)

// listing is a list of objects that is read page by page.
type listing struct {
	next func() (objectstore.Listed, error, bool)
	stop func()
}

// list lists the objects of ranges. Errors of a range end it.
func (s *Sweeper) list(ctx context.Context, ranges []sweep.Range) *listing {
	all := func(yield func(objectstore.Listed, error) bool) {
		for _, r := range ranges {
			for _, prefix := range prefixes(r) {
				for o, err := range s.config.Store.List(ctx, prefix) {
					if !yield(o, err) || err != nil {
						return
					}
				}
			}
		}
	}
	next, stop := iter.Pull2(iter.Seq2[objectstore.Listed, error](all))
	return &listing{next, stop}
}

func (l *listing) close() {
	if l.stop != nil {
		l.stop()
	}
}

// page returns the next objects.
func (l *listing) page() (sweep.Event, error) {
	var page sweep.Page
	for len(page.Objects) < pageObjects {
		o, err, more := l.next()
		if !more {
			page.Last = true
			break
		}
		if err != nil {
			return nil, err
		}
		page.Objects = append(page.Objects, objectOf(o))
	}
	return page, nil
}

// prefixes returns the prefixes of the keys of a range.
func prefixes(r sweep.Range) []string {
	var kind objectstore.Kind
	switch r.Kind {
	case sweep.Batches:
		return []string{string(objectstore.KindBatches), string(objectstore.KindUndated)}
	case sweep.Segment:
		kind = objectstore.KindSegment
	case sweep.Manifest:
		kind = objectstore.KindManifest
	default:
		return nil
	}
	if r.Generation == 0 {
		return []string{string(kind)}
	}
	return []string{objectstore.GenerationPrefix(kind, r.Generation)}
}

func objectOf(o objectstore.Listed) sweep.Object {
	object := sweep.Object{Key: o.Key, Size: o.Size, Generation: objectstore.KeyGeneration(o.Key)}
	switch kind := objectstore.KeyKind(o.Key); {
	case kind.HasBatches():
		object.Kind = sweep.Batches
	case kind == objectstore.KindSegment:
		object.Kind = sweep.Segment
	case kind == objectstore.KindManifest:
		object.Kind = sweep.Manifest
	}
	return object
}

// delete deletes objects at a limited rate. It ends early when the lease is lost.
func (s *Sweeper) delete(ctx context.Context, objects []sweep.Object) sweep.Event {
	var (
		mu   sync.Mutex
		done sweep.Deleted
	)
	group := limited()
	group.SetLimit(deletesAtOnce)
	for _, o := range objects {
		if err := s.limit.Wait(ctx); err != nil || !s.lease.held() {
			mu.Lock()
			done.Failed = errLease.Error()
			mu.Unlock()
			break
		}
		group.Go(func() error {
			attempt, cancel := context.WithTimeout(ctx, deleteTime)
			defer cancel()
			err := s.config.Store.Delete(attempt, o.Key)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				done.Failed = err.Error()
				return nil
			}
			done.Objects++
			done.Bytes += o.Size
			return nil
		})
	}
	_ = group.Wait()
	return done
}
