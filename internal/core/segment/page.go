package segment

import (
	"sort"

	"laneway.dev/internal/core/layout"
	"laneway.dev/pkg/messages"
)

// PageOf returns the number of the page with the first entry whose sequence is not below
// sequence, or len(f.Pages) if there is none.
func (f *Footer) PageOf(sequence uint64) int {
	return sort.Search(len(f.Pages), func(i int) bool { return f.last(i) >= sequence })
}

// PageAt returns the number of the page with the first entry that ends after offset, or
// len(f.Pages) if there is none. If offset lies in a gap, that is the entry after the gap.
func (f *Footer) PageAt(offset int64) int {
	return sort.Search(len(f.Pages), func(i int) bool { return f.end(i) > offset })
}

// NarrowTime narrows a search by time with all entries whose times the footer has, see Narrow.
func (f *Footer) NarrowTime(low, above uint64, t int64) (newLow, newAbove uint64) {
	for i := range f.Pages {
		low, above = Narrow(low, above, f.Pages[i].First, f.Pages[i].Time, t)
	}
	return Narrow(low, above, f.Last, f.LastTime, t)
}

// ParsePage returns the entries of a page from its bytes. They are as the Builder was given
// them, except that what readers do not need is gone (see Builder.Add) and extents lie in the
// segment. A batch that could not be read when the segment was made has the zero Extent.
//
// Errors wrap protocol.ErrMalformed.
func (f *Footer) ParsePage(page int, data []byte) ([]messages.LoggedEntry, error) {
	p := &f.Pages[page]
	if int64(len(data)) != p.Length {
		return nil, layout.Malformed("%d bytes of a page of %d", len(data), p.Length)
	}
	body, err := layout.CutSum("the page", data)
	if err != nil {
		return nil, err
	}
	r := layout.NewReader(body)
	last := f.last(page)
	if mark, first := string(r.Bytes(len(pageMark))), r.Uint64(); mark != pageMark || first != p.First {
		return nil, layout.Malformed("another page than that of entry %d", p.First)
	}
	count := r.Count(minEntrySize)
	if r.Err() == nil && uint64(count)-1 != last-p.First {
		return nil, layout.Malformed("%d entries in the page of entries %d to %d", count, p.First, last)
	}
	// An entry takes far more memory than bytes: grow with what is read.
	entries := make([]messages.LoggedEntry, 0, min(count, len(body)/64+1))
	offset := p.Base
	for i := range count {
		n, err := f.readEntry(r, offset)
		if err != nil {
			return nil, err
		}
		entries, offset = append(entries, messages.LoggedEntry{Sequence: p.First + uint64(i), Entry: n}), n.NextOffset()
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	if offset != f.end(page) {
		return nil, layout.Malformed("the page ends at offset %d, should be %d", offset, f.end(page))
	}
	return entries, nil
}

// readEntry reads the next entry of a page, before which the log ends at offset.
func (f *Footer) readEntry(r *layout.Reader, offset int64) (messages.Entry, error) {
	length := r.Uvarint()
	if length > uint64(r.Left()) {
		return messages.Entry{}, layout.Malformed("an entry of %d bytes, %d are left", length, r.Left())
	}
	data := r.Bytes(int(length))
	if err := r.Err(); err != nil {
		return messages.Entry{}, err
	}
	n, err := messages.DecodeEntry(data)
	switch {
	case err != nil:
		return messages.Entry{}, err
	case n.TopicID != f.Partition.TopicID:
		return messages.Entry{}, layout.Malformed("an entry of topic %d in a segment of topic %d", n.TopicID, f.Partition.TopicID)
	case n.BaseOffset-n.Gap != offset:
		return messages.Entry{}, layout.Malformed("an entry at offset %d, should be %d", n.BaseOffset-n.Gap, offset)
	}
	for i := range n.Batches {
		x := &n.Batches[i].Extent
		if *x == (messages.Extent{}) {
			continue
		}
		if x.Key != "" || x.Length == 0 || x.Offset < f.dataBegin() || x.Offset+x.Length > f.Pages[0].Position {
			return messages.Entry{}, layout.Malformed("an extent of %d bytes at %d outside of the data", x.Length, x.Offset)
		}
		x.Key = f.Key
	}
	return n, nil
}
