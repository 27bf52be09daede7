package archive

import (
	"context"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// Walker is what Walk finds in a history. All functions are called in the order of the log; those
// that are nil are not called. An error of a function ends the walk.
type Walker struct {
	// List is called for each list, and Segment for each segment, before its entries.
	List    func(segment.Summary) error
	Segment func(segment.Summary) error
	// Entry is called for each entry of a segment. Without it, Walk reads only manifests and lists.
	Entry func(*messages.LoggedEntry) error
	// Damaged is called for a list, a segment, or a page of a segment that cannot be read, with its
	// sequences and offsets. Err is a *objectstore.CorruptError, ErrNotFound, or any other error
	// that concerns this object.
	Damaged func(d Damage) error
}

// Damage is a part of a history that cannot be read.
type Damage struct {
	Key         string
	Size        int64
	First, Last uint64 // sequences
	Base, End   int64  // offsets from Base up to, but not including, End
	Err         error
}

// Walk walks through the segments of a manifest whose entries are above a sequence.
func Walk(ctx context.Context, store objectstore.Store, m *manifest.Manifest, above uint64, w Walker) error {
	for i := range m.Lists {
		list := &m.Lists[i]
		if list.Last <= above {
			continue
		}
		if err := call(w.List, *list); err != nil {
			return err
		}
		l, err := List(ctx, store, list.Key)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			if err := call(w.Damaged, Damage{list.Key, 0, list.First, list.Last, list.Base, list.End, err}); err != nil {
				return err
			}
			continue
		}
		if err := walkSegments(ctx, store, l.Segments, above, w); err != nil {
			return err
		}
	}
	return walkSegments(ctx, store, m.Segments, above, w)
}

func call[T any](f func(T) error, argument T) error {
	if f == nil {
		return nil
	}
	return f(argument)
}

func walkSegments(ctx context.Context, store objectstore.Store, segments []segment.Summary, above uint64, w Walker) error {
	for i := range segments {
		s := &segments[i]
		if s.Last <= above {
			continue
		}
		if err := call(w.Segment, *s); err != nil {
			return err
		}
		if w.Entry == nil {
			continue
		}
		if err := walkSegment(ctx, store, s, above, w); err != nil {
			return err
		}
	}
	return nil
}

func walkSegment(ctx context.Context, store objectstore.Store, s *segment.Summary, above uint64, w Walker) error {
	damage := Damage{s.Key, s.Size, s.First, s.Last, s.Base, s.End, nil}
	f, err := Footer(ctx, store, objectstore.Listed{Key: s.Key, Size: s.Size})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil && f.Summary != *s {
		err = &objectstore.CorruptError{Damage: DamagedFooter, Key: s.Key, Length: s.Size, Reason: "the segment is not the one that its manifest lists"}
	}
	if err != nil {
		damage.Err = err
		return call(w.Damaged, damage)
	}
	for page := f.PageOf(above + 1); page < len(f.Pages); page++ {
		entries, err := Page(ctx, store, f, page)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			damage.First, damage.Base, damage.Last, damage.End, damage.Err = f.Pages[page].First, f.Pages[page].Base, s.Last, s.End, err
			if page+1 < len(f.Pages) {
				damage.Last, damage.End = f.Pages[page+1].First-1, f.Pages[page+1].Base
			}
			if err := call(w.Damaged, damage); err != nil {
				return err
			}
			continue
		}
		for i := range entries {
			if entries[i].Sequence <= above {
				continue
			}
			if err := w.Entry(&entries[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
