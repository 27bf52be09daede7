package history

import (
	"context"
	"time"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Range is what is left of a search in a history: what is searched for is not below Low, and every
// entry from Above on is behind it. First is the first entry of the history.
type Range struct {
	First, Low, Above uint64
}

// NarrowOffset narrows the search for an offset to the entries of one page, with at most four
// requests to the store. The search is in the entries from low up to, but not including, above,
// which MUST be in the history. If a part of the index is damaged, the result is as narrow as
// the rest allows, and Entries returns the damage.
func (r *Reader) NarrowOffset(ctx context.Context, h messages.History, id protocol.Partition, offset int64, low, above uint64) (Range, error) {
	return r.narrow(ctx, h, id, Range{Low: low, Above: above}, narrowing{
		inIndex: func(i locator, left Range) Range {
			if p, ok := i.offset(offset); ok {
				return left.within(p.First, p.Last+1)
			}
			return left
		},
		inSegment: func(f *segment.Footer, left Range) Range {
			i := f.PageAt(offset)
			switch {
			case i == len(f.Pages):
				return left
			case i+1 < len(f.Pages):
				return left.within(f.Pages[i].First, f.Pages[i+1].First)
			}
			return left.within(f.Pages[i].First, f.Last+1)
		},
	})
}

// NarrowTime is like NarrowOffset for the search for the first entry that is not older than t. The
// times of the entries from low on, below above, MUST NOT fall.
func (r *Reader) NarrowTime(ctx context.Context, h messages.History, id protocol.Partition, t time.Time, low, above uint64) (Range, error) {
	nanos := t.UnixNano()
	return r.narrow(ctx, h, id, Range{Low: low, Above: above}, narrowing{
		inIndex: func(i locator, left Range) Range {
			if i.manifest != nil {
				left.Low, left.Above = i.manifest.NarrowTime(left.Low, left.Above, nanos)
			} else {
				left.Low, left.Above = i.list.NarrowTime(left.Low, left.Above, nanos)
			}
			return left
		},
		inSegment: func(f *segment.Footer, left Range) Range {
			left.Low, left.Above = f.NarrowTime(left.Low, left.Above, nanos)
			return left
		},
	})
}

// narrowing are the steps of a search: in a manifest or a list, and in the footer of a segment.
type narrowing struct {
	inIndex   func(locator, Range) Range
	inSegment func(*segment.Footer, Range) Range
}

// within returns the part of a range from low up to, but not including, above.
func (g Range) within(low, above uint64) Range {
	g.Low = min(max(g.Low, low), g.Above)
	g.Above = max(min(g.Above, above), g.Low)
	return g
}

func (r *Reader) narrow(ctx context.Context, h messages.History, id protocol.Partition, left Range, by narrowing) (Range, error) {
	m, err := r.Manifest(ctx, h, id)
	if err != nil {
		return left, err
	}
	left.First = h.End.Sequence + 1
	if first, ok := m.Locate(0); ok {
		left.First = first.First
	}
	left = by.inIndex(locator{manifest: m}, left.within(left.First, left.Above))
	place, ok := m.Locate(left.Low)
	if left.Low >= left.Above || !ok {
		return left, nil
	}
	if place.List {
		l, err := r.list(ctx, &place.Summary, id)
		if err != nil {
			return left, unlessDamage(err)
		}
		left = by.inIndex(locator{list: l}, left)
		if place.Summary, ok = l.Locate(left.Low); left.Low >= left.Above || !ok {
			return left, nil
		}
	}
	f, err := r.footer(ctx, &place.Summary, id)
	if err != nil {
		return left, unlessDamage(err)
	}
	return by.inSegment(f, left), nil
}

// unlessDamage returns nil for damage, which the read of the entries reports.
func unlessDamage(err error) error {
	if _, ok := err.(*Damage); ok { //nolint:errorlint // the functions of this package return it as it is
		return nil
	}
	return err
}

// Bounds returns the first entry of a history that ends above the log start offset, and that
// offset. If the history has no such entry, it is the one after the history.
func (r *Reader) Bounds(ctx context.Context, h messages.History, id protocol.Partition) (first uint64, offset int64, err error) {
	if h.Start == h.End.Offset {
		return h.End.Sequence + 1, h.Start, nil
	}
	left, err := r.NarrowOffset(ctx, h, id, h.Start, 1, h.End.Sequence+1)
	for err == nil && left.Low < left.Above {
		entries, err := r.Entries(ctx, h, id, left.Low, 1<<10)
		if err != nil {
			return 0, 0, err
		}
		for i := range entries {
			if entries[i].Entry.NextOffset() > h.Start {
				return entries[i].Sequence, h.Start, nil
			}
		}
		left.Low = entries[len(entries)-1].Sequence + 1
	}
	return left.Low, h.Start, err
}

// Size is how much a history has.
type Size struct {
	Segments int
	Bytes    int64 // of all segments
	Oldest   int64 // the time of the first entry of the oldest segment, in Unix nanoseconds; 0 if there is none
}

// Size returns the size of a history.
func (r *Reader) Size(ctx context.Context, h messages.History, id protocol.Partition) (Size, error) {
	m, err := r.Manifest(ctx, h, id)
	if err != nil {
		return Size{}, err
	}
	size := Size{Segments: manifest.ListSegments*len(m.Lists) + len(m.Segments)}
	for _, part := range [][]segment.Summary{m.Lists, m.Segments} {
		for i := range part {
			if size.Bytes == 0 {
				size.Oldest = part[i].FirstTime
			}
			size.Bytes += part[i].Size
		}
	}
	return size, nil
}
