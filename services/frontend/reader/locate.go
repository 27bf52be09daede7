package reader

import (
	"context"
	"errors"

	"laneway.dev/pkg/messages"
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
	case f.request.From == messages.FromEarliest:
		c.sequence, c.offset = 1, 0
	case f.request.From == messages.FromLatest:
		c.sequence, c.offset = end.sequence+1, end.offset
	case f.request.Time != nil:
		return f.placeSince(ctx, end)
	default:
		return f.placeAt(ctx, *f.request.Offset, end)
	}
	return nil
}

// placeSince starts at the first record of a time or later.
func (f *fetch) placeSince(ctx context.Context, end position) error {
	since := *f.request.Time
	f.cursor.since = since
	found, err := f.search(ctx, end, func(entry *messages.Entry) bool { return !entry.At().Before(since) })
	if err != nil {
		return err
	}
	f.cursor.sequence, f.cursor.offset = end.sequence+1, end.offset
	if found != nil {
		f.cursor.sequence, f.cursor.offset = found.Sequence, found.Entry.BaseOffset
	}
	return nil
}

// placeAt starts at an offset.
func (f *fetch) placeAt(ctx context.Context, offset int64, end position) error {
	if offset < 0 || offset > end.offset {
		return messages.Errorf(messages.CodeOffsetOutOfRange, "%d, the partition has 0 to %d", offset, end.offset)
	}
	f.cursor.sequence, f.cursor.offset = end.sequence+1, offset
	if offset == end.offset {
		return nil
	}
	found, err := f.search(ctx, end, func(entry *messages.Entry) bool { return entry.NextOffset() > offset })
	if err != nil {
		return err
	}
	if found != nil {
		f.cursor.sequence = found.Sequence
	}
	return nil
}

// search returns the first entry for which reached is true, or nil. Entries are
// dense by sequence, and sorted by offset and time, so it is found by halves. A
// damaged entry that may be the one is where the search ends, and what the
// fetch then reports.
func (f *fetch) search(ctx context.Context, end position, reached func(*messages.Entry) bool) (*messages.LoggedEntry, error) {
	var found *messages.LoggedEntry
	for low, high := uint64(1), end.sequence+1; low < high; {
		middle := low + (high-low)/2
		logged, err := f.readable(ctx, middle, min(high, end.sequence))
		if err != nil {
			return nil, err
		}
		if reached(&logged.Entry) {
			found, high = &logged, middle
		} else {
			low = logged.Sequence + 1
		}
	}
	return found, nil
}

// maxUnreadable is how many entries in a row may be damaged before a search
// gives up.
const maxUnreadable = 8

// readable returns the first entry from a sequence on that can be read: one that
// is damaged must not keep readers from what lies elsewhere.
func (f *fetch) readable(ctx context.Context, from, last uint64) (messages.LoggedEntry, error) {
	for at := from; ; at++ {
		logged, err := f.cursor.entry(ctx, at)
		if err == nil || at >= last || at-from >= maxUnreadable || !errors.Is(err, messages.NewError(messages.CodeCorrupt, "")) {
			return logged, err
		}
	}
}
