package fetch

import (
	"context"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// place sets the cursor to the start that was asked for, and the limit to where
// the log ends now.
func (f *fetch) place(ctx context.Context) error {
	end, err := f.partition.lookUp(ctx)
	if err != nil {
		return err
	}
	f.limit = end.offset
	c := &f.cursor
	switch {
	case f.request.From == protocol.FromEarliest:
		c.sequence, c.offset = end.first, 0
	case f.request.From == protocol.FromLatest:
		c.sequence, c.offset = end.sequence+1, end.offset
	case f.request.Time != nil:
		return f.placeSince(ctx, end)
	default:
		return f.placeAt(ctx, *f.request.Offset, end)
	}
	return nil
}

// placeSince starts behind the last record that is older than a time. Within a
// stretch of the log whose times rise that is located by binary search. There is more
// than one stretch if a clock was set back far: the times of the newest one count
// first, because the clock was corrected then.
func (f *fetch) placeSince(ctx context.Context, end position) error {
	since := *f.request.Time
	c := &f.cursor
	c.since = since
	c.sequence, c.offset = end.sequence+1, end.offset
	for high := end.readable + 1; high > end.first; {
		low, err := f.risingFrom(ctx, end.first, high)
		if err != nil {
			return err
		}
		found, at, err := f.search(ctx, low, high, func(entry *messages.Entry) bool { return !entry.At().Before(since) })
		if err != nil {
			return err
		}
		if found != nil {
			if c.sequence, c.offset, err = f.behind(ctx, at, end.first); err != nil {
				return err
			}
		}
		if at > low {
			return nil
		}
		high = low
	}
	return nil
}

// risingFrom returns from which sequence on the times of the entries before high rise.
func (f *fetch) risingFrom(ctx context.Context, first, high uint64) (uint64, error) {
	last, err := f.cursor.entry(ctx, high-1)
	switch {
	case isCorrupt(err) || err == nil && last.Sequence >= high:
		return first, nil // it is damaged: where it stands is taken for the place
	case err != nil:
		return 0, err
	}
	return min(max(last.Entry.RisingFrom, first), high-1), nil
}

// behind returns a place right behind the entry before a sequence, so that a gap or
// damage between the two is noticed. The first entry follows nothing.
func (f *fetch) behind(ctx context.Context, sequence, first uint64) (uint64, int64, error) {
	if sequence <= first {
		return first, 0, nil
	}
	before, err := f.cursor.entry(ctx, sequence-1)
	switch {
	case isCorrupt(err) || err == nil && before.Sequence >= sequence:
		next, err := f.cursor.readable(ctx, sequence, sequence+maxUnreadable)
		return next.Sequence, next.Entry.BaseOffset, err
	case err != nil:
		return 0, 0, err
	}
	return sequence, before.Entry.NextOffset(), nil
}

// placeAt starts at an offset.
func (f *fetch) placeAt(ctx context.Context, offset int64, end position) error {
	if offset < 0 || offset > end.offset {
		return outOfRange(offset, end)
	}
	f.cursor.sequence, f.cursor.offset = end.sequence+1, offset
	if offset == end.offset {
		return nil
	}
	found, at, err := f.search(ctx, end.first, end.readable+1, func(entry *messages.Entry) bool { return entry.NextOffset() > offset })
	switch {
	case err != nil:
		return err
	case found == nil:
	case found.Entry.BaseOffset <= offset:
		f.cursor.sequence = found.Sequence
	default:
		f.cursor.sequence = at // it lies in a gap, or in entries that cannot be read
	}
	return nil
}

// search returns the first entry of [low, high) for which reached is true, or nil, and
// the sequence behind the last one for which it is false. The two are the same unless
// what lies between cannot be read. Entries are sorted by what is asked for, so this is
// a binary search. A damaged entry that may be the one is where the search ends, and
// what the fetch then reports.
func (f *fetch) search(ctx context.Context, low, high uint64, reached func(*messages.Entry) bool) (*messages.LoggedEntry, uint64, error) {
	var found *messages.LoggedEntry
	for above := high; low < above; {
		middle := low + (above-low)/2
		last := high - 1
		if found != nil {
			last = found.Sequence
		}
		logged, err := f.cursor.readable(ctx, middle, last)
		switch {
		case err != nil:
			return nil, 0, err
		case logged.Sequence >= high:
			above = middle // nothing is left from there on
		case reached(&logged.Entry):
			found, above = &logged, middle
		default:
			low = logged.Sequence + 1
		}
	}
	return found, low, nil
}

// maxUnreadable is how many entries in a row may be damaged before a search
// gives up.
const maxUnreadable = 8

// readable returns the first entry from a sequence on that can be read: one that
// is damaged must not keep readers from what lies elsewhere.
func (c *cursor) readable(ctx context.Context, from, last uint64) (messages.LoggedEntry, error) {
	for at := from; ; at++ {
		logged, err := c.entry(ctx, at)
		if err == nil || at >= last || at-from >= maxUnreadable || !isCorrupt(err) {
			return logged, err
		}
	}
}
