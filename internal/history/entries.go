package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// pagesAtOnce is how many bytes of neighboring pages are read with one request, unless a single
// page is longer. A remote store takes as long for one page, and most readers need the next ones.
const pagesAtOnce = 512 << 10

// Entries returns entries of a history from a sequence on: at least one, at most limit, and
// without holes between them. The first one has a higher sequence if the history has no entry at
// from. from MUST NOT be above h.End.Sequence. The extents of the entries lie in segments. A batch
// that could not be archived has an empty extent. The caller MUST NOT modify the entries.
func (r *Reader) Entries(ctx context.Context, h messages.History, id protocol.Partition, from uint64, limit int) ([]messages.LoggedEntry, error) {
	m, err := r.Manifest(ctx, h, id)
	if err != nil {
		return nil, err
	}
	s, err := r.segment(ctx, m, id, func(i locator) (manifest.Place, bool) { return i.sequence(from) })
	if err != nil {
		return nil, err
	}
	f, err := r.footer(ctx, &s, id)
	if err != nil {
		return nil, err
	}
	page := f.PageOf(from)
	entries, err := r.page(ctx, f, page)
	if err != nil {
		return nil, err
	}
	first := slices.IndexFunc(entries, func(e messages.LoggedEntry) bool { return e.Sequence >= from })
	entries = entries[first:]
	for batches := count(entries); len(entries) < limit && batches < maxBatches; {
		page++
		next, err := r.pageInMemory(f, page)
		if err != nil || len(next) == 0 {
			break // a later call reads it, or returns the error
		}
		entries = append(entries, next...)
		batches += count(next)
	}
	return entries[:min(len(entries), limit)], nil
}

// maxBatches bounds the batches of entries that are returned together, unless a page has more.
const maxBatches = 4096

// count returns the number of batches of some entries.
func count(entries []messages.LoggedEntry) (batches int) {
	for i := range entries {
		batches += len(entries[i].Entry.Batches)
	}
	return batches
}

// pageInMemory returns the entries of a page, and none if the page is not in memory.
func (r *Reader) pageInMemory(f *segment.Footer, page int) ([]messages.LoggedEntry, error) {
	value, damage, _ := r.inMemory(part{f.Key, page})
	if damage != nil || value == nil {
		return nil, nil
	}
	return f.ParsePage(page, value.([]byte))
}

// InMemory reports whether Entries would return the entry at a sequence without a request to the
// store.
func (r *Reader) InMemory(h messages.History, from uint64) bool {
	s, ok, known := r.located(h, from)
	if !known {
		return false
	}
	if !ok {
		return true // an error
	}
	f, ok := inMemory[*segment.Footer](r, s.Key)
	if !ok {
		return false
	}
	_, _, ok = r.inMemory(part{s.Key, f.PageOf(from)})
	return ok
}

// Missing returns the first of the entries from a sequence on whose page is not in memory, if it is
// near: among those that are read with a few requests. Entries reads its page, and what is needed to
// find it.
func (r *Reader) Missing(h messages.History, from uint64) (missing uint64, near bool) {
	for bytes := int64(0); bytes < pagesAtOnce && from <= h.End.Sequence; {
		s, ok, known := r.located(h, from)
		f, read := inMemory[*segment.Footer](r, s.Key)
		switch {
		case !known || ok && !read:
			return from, true
		case !ok:
			return 0, false // an error
		}
		for page := f.PageOf(from); page < len(f.Pages) && bytes < pagesAtOnce; page++ {
			if _, _, ok := r.inMemory(part{f.Key, page}); !ok {
				return max(from, f.Pages[page].First), true
			}
			bytes += f.Pages[page].Length
		}
		from = f.Last + 1
	}
	return 0, false
}

// Segment returns the summary of a segment, and where its data ends. ok is false if its footer is
// not in memory.
func (r *Reader) Segment(key string) (s segment.Summary, dataEnd int64, ok bool) {
	f, ok := inMemory[*segment.Footer](r, key)
	if !ok {
		return s, 0, false
	}
	return f.Summary, f.Pages[0].Position, true
}

// SegmentAt returns the first segment that ends after an offset.
func (r *Reader) SegmentAt(ctx context.Context, h messages.History, id protocol.Partition, offset int64) (segment.Summary, error) {
	m, err := r.Manifest(ctx, h, id)
	if err != nil {
		return segment.Summary{}, err
	}
	return r.segment(ctx, m, id, func(i locator) (manifest.Place, bool) { return i.offset(offset) })
}

// Next returns the segment that follows one in a history. ok is false if there is none, or it is not
// in memory which one it is.
func (r *Reader) Next(h messages.History, s *segment.Summary) (next segment.Summary, ok bool) {
	next, ok, _ = r.located(h, s.Last+1)
	return next, ok
}

// located returns the first segment with an entry at a sequence or above. ok is false if there is
// none, and known is false if that is not in memory.
func (r *Reader) located(h messages.History, sequence uint64) (s segment.Summary, ok, known bool) {
	m, known := inMemory[*manifest.Manifest](r, h.Manifest)
	if !known {
		return s, false, false
	}
	place, ok := m.Locate(sequence)
	if !ok || !place.List {
		return place.Summary, ok, true
	}
	l, known := inMemory[*manifest.List](r, place.Key)
	if !known {
		return s, false, false
	}
	s, ok = l.Locate(sequence)
	return s, ok, true
}

// inMemory returns the index of an object if it is in memory.
func inMemory[T any](r *Reader, key string) (T, bool) {
	value, _, _ := r.inMemory(part{key, index})
	v, ok := value.(T)
	return v, ok
}

// locator finds a segment in a manifest or in a list.
type locator struct {
	manifest *manifest.Manifest // nil for a list
	list     *manifest.List
}

func (l locator) sequence(n uint64) (manifest.Place, bool) {
	if l.manifest != nil {
		return l.manifest.Locate(n)
	}
	s, ok := l.list.Locate(n)
	return manifest.Place{Summary: s}, ok
}

func (l locator) offset(n int64) (manifest.Place, bool) {
	if l.manifest != nil {
		return l.manifest.LocateOffset(n)
	}
	s, ok := l.list.LocateOffset(n)
	return manifest.Place{Summary: s}, ok
}

// segment returns what is known about the segment that find selects, in the manifest and then, if
// that names a list, in the list.
func (r *Reader) segment(ctx context.Context, m *manifest.Manifest, id protocol.Partition, find func(locator) (manifest.Place, bool)) (segment.Summary, error) {
	place, ok := find(locator{manifest: m})
	if ok && place.List {
		l, err := r.list(ctx, &place.Summary, id)
		if err != nil {
			return segment.Summary{}, err
		}
		place, ok = find(locator{list: l})
	}
	if !ok {
		return segment.Summary{}, fmt.Errorf("the manifest %q of partition %s has no such entry", m.Key, id)
	}
	return place.Summary, nil
}

// page returns the entries of a page of a segment.
func (r *Reader) page(ctx context.Context, f *segment.Footer, page int) ([]messages.LoggedEntry, error) {
	var entries []messages.LoggedEntry
	data, err := get(ctx, r, part{f.Key, page}, func() (data []byte, err error) {
		data, entries, err = r.readPages(ctx, f, page)
		if reason, ok := errors.AsType[*lost](err); ok {
			next := behind(&f.Summary)
			if page+1 < len(f.Pages) {
				next = messages.Position{Sequence: f.Pages[page+1].First, Offset: f.Pages[page+1].Base}
			}
			return nil, damaged("a page of the segment", f.Key, f.Pages[page].Base, next, reason)
		}
		return data, err
	})
	if err != nil || entries != nil {
		return entries, err
	}
	return f.ParsePage(page, data) // pages in memory have been parsed before
}

// readPages reads a page, and keeps some of those that follow it.
func (r *Reader) readPages(ctx context.Context, f *segment.Footer, page int) (data []byte, entries []messages.LoggedEntry, err error) {
	first := &f.Pages[page]
	length := first.Length
	for _, next := range f.Pages[page+1:] {
		if length+next.Length > min(pagesAtOnce, r.pages.limit/4) {
			break
		}
		length += next.Length
	}
	err = r.readPart(ctx, archive.Part{Key: f.Key, Offset: first.Position, Length: length}, func(content []byte) error {
		if entries, err = f.ParsePage(page, content[:first.Length]); err != nil {
			return err
		}
		data = bytes.Clone(content[:first.Length])
		r.keepPages(f, content[first.Length:], first.Position+first.Length)
		return nil
	})
	return data, entries, err
}

// keepPages keeps the pages of a segment that are in content, which begins at a position of the
// object. Those that are damaged are left out, and read again when they are needed.
func (r *Reader) keepPages(f *segment.Footer, content []byte, position int64) {
	for i, p := range f.Pages {
		from, to := p.Position-position, p.Position-position+p.Length
		if from < 0 || to > int64(len(content)) {
			continue
		}
		if _, _, known := r.inMemory(part{f.Key, i}); known {
			continue
		}
		if _, err := f.ParsePage(i, content[from:to]); err == nil {
			r.pages.put(part{f.Key, i}, bytes.Clone(content[from:to]))
		}
	}
}
