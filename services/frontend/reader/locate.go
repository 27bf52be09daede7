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

// placeSince starts at the first record committed at or after the time asked for.
func (f *fetch) placeSince(ctx context.Context, end position) error {
	c := &f.cursor
	c.since = *f.request.Time
	c.sequence, c.offset = end.sequence+1, end.offset
	found, err := fromLog(ctx, f.reader.config, func(ctx context.Context) ([]messages.LoggedEntry, error) {
		return f.partition.log.ReadSince(ctx, c.since)
	})
	if err != nil {
		return err
	}
	if len(found) > 0 && found[0].Sequence <= end.sequence {
		c.sequence, c.offset = found[0].Sequence, found[0].Entry.BaseOffset
	}
	return nil
}

// placeAt starts at an offset. Entries are dense by sequence and sorted by
// offset, so the one that holds it is found by halves. A damaged entry that may
// hold it is where the search ends, and what the fetch then reports.
func (f *fetch) placeAt(ctx context.Context, offset int64, end position) error {
	if offset < 0 || offset > end.offset {
		return messages.Errorf(messages.CodeOffsetOutOfRange, "%d, the partition has 0 to %d", offset, end.offset)
	}
	c := &f.cursor
	low, high := uint64(1), end.sequence+1
	if offset == end.offset {
		low = high
	}
	for low < high {
		middle := low + (high-low)/2
		logged, err := f.readable(ctx, middle, min(high, end.sequence))
		if err != nil {
			return err
		}
		switch entry := &logged.Entry; {
		case entry.NextOffset() <= offset:
			low = logged.Sequence + 1
		case entry.BaseOffset <= offset:
			low, high = logged.Sequence, logged.Sequence
		default:
			high = middle
		}
	}
	c.sequence, c.offset = low, offset
	return nil
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
