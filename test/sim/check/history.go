package check

import (
	"fmt"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// The history of a log lies in segments. These checks promise that every record can be read at any
// time: it is in the log, or in a segment of the history that stands in the log.

// history checks what an entry says of the history. It never falls, and it names entries that
// stand in the log before it. Its end rises, or its start, or its bytes fall, because a segment
// without records was dropped.
func (s *State) history(e *messages.LoggedEntry, by string) {
	if s.limits.Object != nil {
		s.entries = append(s.entries, e)
	}
	h, before := e.Entry.History, s.archived
	switch {
	case h == before:
		return
	case !h.Archived():
		s.violated("archive: entry %d names no history, and the one before it names %+v", e.Sequence, before)
	case h.Manifest == before.Manifest, h.End.Sequence < before.End.Sequence, h.End.Offset < before.End.Offset, h.Start < before.Start,
		h.End == before.End && h.Start == before.Start && h.Bytes >= before.Bytes, h.Start > h.End.Offset:
		s.violated("archive: entry %d names the history %+v after %+v", e.Sequence, h, before)
	case h.End.Sequence >= e.Sequence || s.ends[h.End.Sequence-1] != h.End.Offset:
		s.violated("archive: entry %d names the history %+v, which ends with no entry before it", e.Sequence, h)
	default:
		s.archived = h
		s.counts.Archives++
		s.newInHistory(h.Manifest)
		listed := s.listed
		if err := s.readHistory(); err != nil {
			s.violated("archive: the history of entry %d: %w", e.Sequence, err)
			return
		}
		s.begins.put(s, h.Start, true)
		s.dropped(e, by, before, listed)
	}
}

// readHistory compares the segments of the history with the log. Objects never change, so each
// segment is compared once.
func (s *State) readHistory() error {
	if s.limits.Object == nil {
		return nil
	}
	key := s.archived.Manifest
	object := s.limits.Object(key)
	m, err := manifest.Decode(key, object)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", key, err)
	}
	var all []segment.Summary
	leads := map[string]bool{key: true}
	for _, l := range m.Lists {
		list, err := manifest.DecodeList(l.Key, s.limits.Object(l.Key))
		if err != nil {
			return fmt.Errorf("list %s: %w", l.Key, err)
		}
		leads[l.Key] = true
		if !s.segments[l.Key] {
			s.newInHistory(l.Key)
			s.segments.put(s, l.Key, true)
		}
		all = append(all, list.Segments...)
	}
	all = append(all, m.Segments...)
	is := messages.History{Manifest: key, Start: m.Start, End: m.End, Size: int64(len(object))}
	for i := range all {
		is.Bytes += all[i].Size
		leads[all[i].Key] = true
	}
	s.leadsTo(leads)
	if len(all) > 0 {
		is.Oldest, is.OldestBytes = manifest.Age(&all[0]), all[0].Size
	}
	if is != s.archived {
		return fmt.Errorf("manifest %s is that of %+v", key, is)
	}
	next := messages.Position{Sequence: s.archived.End.Sequence + 1, Offset: s.archived.Start}
	if s.listed = all; len(all) > 0 {
		if next = (messages.Position{Sequence: all[0].First, Offset: all[0].Base}); all[0].Base > s.archived.Start || all[0].End < s.archived.Start {
			return fmt.Errorf("manifest %s begins with the offsets %d to %d, and should with %d", key, all[0].Base, all[0].End-1, s.archived.Start)
		}
	}
	if next, err = s.readSegments(all, next); err != nil {
		return err
	}
	if end := s.archived.End; next.Sequence != end.Sequence+1 || next.Offset != end.Offset {
		return fmt.Errorf("manifest %s goes up to entry %d and offset %d, and should to %+v", key, next.Sequence-1, next.Offset, end)
	}
	return nil
}

// readSegments compares the segments that follow from a place. It returns the place after them.
func (s *State) readSegments(all []segment.Summary, next messages.Position) (messages.Position, error) {
	for i := range all {
		m := &all[i]
		if m.First != next.Sequence || m.Base != next.Offset {
			return next, fmt.Errorf("segment %s begins with entry %d at offset %d, and the one before ends at %+v", m.Key, m.First, m.Base, next)
		}
		next = messages.Position{Sequence: m.Last + 1, Offset: m.End}
		if s.deleted[m.Key] {
			return next, fmt.Errorf("segment %s is deleted", m.Key)
		}
		if s.segments[m.Key] {
			continue
		}
		s.newInHistory(m.Key)
		if err := s.readSegment(m); err != nil {
			return next, fmt.Errorf("segment %s: %w", m.Key, err)
		}
		s.segments.put(s, m.Key, true)
	}
	return next, nil
}

func (s *State) readSegment(m *segment.Summary) error {
	object := s.limits.Object(m.Key)
	f, _, err := segment.ParseTail(m.Key, object, int64(len(object)))
	if err != nil {
		return err
	}
	if f.Summary != *m {
		return fmt.Errorf("it is %+v, and the manifest says %+v", f.Summary, *m)
	}
	next := m.First
	for i, p := range f.Pages {
		entries, err := f.ParsePage(i, object[p.Position:p.Position+p.Length])
		if err != nil {
			return err
		}
		for j := range entries {
			if entries[j].Sequence != next {
				return fmt.Errorf("entry %d comes where %d should", entries[j].Sequence, next)
			}
			if err := s.readEntry(object, &entries[j].Entry, &s.entries[next-1].Entry); err != nil {
				return fmt.Errorf("entry %d: %w", next, err)
			}
			next++
		}
	}
	if next != m.Last+1 {
		return fmt.Errorf("it ends with entry %d, and should with %d", next-1, m.Last)
	}
	return nil
}

// readEntry compares an entry of a segment with that of the log.
func (s *State) readEntry(object []byte, got, want *messages.Entry) error {
	if got.BaseOffset != want.BaseOffset || got.Gap != want.Gap || got.Time != want.Time || got.RisingFrom != want.RisingFrom || len(got.Batches) != len(want.Batches) {
		return fmt.Errorf("it is %+v, and the log has %+v", *got, *want)
	}
	for i := range got.Batches {
		g, w := &got.Batches[i], &want.Batches[i]
		if g.Records != w.Records || g.MessageID != w.MessageID || g.Sequence != w.Sequence {
			return fmt.Errorf("batch %d is %+v, and the log has %+v", i, *g, *w)
		}
		if g.Extent == (messages.Extent{}) {
			if !s.damaged[w.Extent] {
				return fmt.Errorf("batch %d was given up, and could be read", i)
			}
			s.counts.ArchivedDamaged++
			continue
		}
		frame, err := Frame(object, g.Extent)
		if err != nil {
			return fmt.Errorf("batch %d: %w", i, err)
		}
		want, err := s.content(w)
		if err != nil {
			return fmt.Errorf("batch %d: %w", i, err)
		}
		if batch := ReadBatch(frame); batch != want {
			return fmt.Errorf("batch %d has %s, and should have %s", i, batch, want)
		}
	}
	return nil
}

// Frame returns the frame that an extent names in its object.
func Frame(object []byte, x messages.Extent) ([]byte, error) {
	if x.Offset+x.Length > int64(len(object)) {
		return nil, fmt.Errorf("%d bytes at %d are not in an object of %d", x.Length, x.Offset, len(object))
	}
	content := object[x.Offset : x.Offset+x.Length]
	if err := objectstore.Verify(x, content); err != nil {
		return nil, err
	}
	if !x.Compressed() {
		return content, nil
	}
	block, err := objectstore.Decompress(x, content)
	if err != nil {
		return nil, err
	}
	return objectstore.Frame(x, block)
}

// Purged is a log that begins with the entry First from now on.
type Purged struct{ First uint64 }

func (p Purged) look(s *State) {
	s.counts.Purges++
	if p.First > s.archived.End.Sequence+1 || p.First > s.sequence {
		s.violated("archive: the log is purged up to entry %d of %d, and the history ends with %d", p.First-1, s.sequence, s.archived.End.Sequence)
	}
}

// Archived is the end of the history that the newest entry of the log names.
func (s *State) Archived() messages.Position { return s.archived.End }

// Unarchived returns how many batches no segment has yet.
func (s *State) Unarchived() (batches int) { return len(s.framesFrom(s.archived.End.Offset)) }

// Covers is a snapshot that was stored and read back.
type Covers struct {
	Sequence  uint64
	History   messages.History
	Runs      messages.Run // all of its runs together
	Watermark uint64
}

// CoversOf returns what is to be checked of a snapshot.
func CoversOf(n *messages.Snapshot) Covers {
	c := Covers{Sequence: n.Sequence, History: n.History, Watermark: n.Watermark}
	for i := range n.Runs {
		c.Runs.End = n.Runs[i].End
		c.Runs.Batches += n.Runs[i].Batches
		c.Runs.Payload += n.Runs[i].Payload
	}
	return c
}

// look checks that a snapshot knows the history that the log has up to its entry, and the entries
// after that. It may count entries that were archived since.
func (c Covers) look(s *State) {
	if s.limits.Object == nil || c.Sequence < 2 {
		return
	}
	at := &s.entries[c.Sequence-1].Entry
	if at.History != c.History && (at.History.Archived() || c.History.Archived()) {
		s.violated("archive: the snapshot of entry %d has the history %+v, and the log %+v", c.Sequence, c.History, at.History)
		return
	}
	if at.Watermark != c.Watermark {
		s.violated("watermark: the snapshot of entry %d has %d, and the log %d", c.Sequence, c.Watermark, at.Watermark)
	}
	batches := int64(0)
	for _, e := range s.entries[max(1, at.History.End.Sequence):c.Sequence] {
		batches += int64(len(e.Entry.Batches))
	}
	end := messages.Position{Sequence: c.Sequence, Offset: at.NextOffset()}
	if c.Runs.Batches < batches || at.History.End != end && c.Runs.End != end {
		s.violated("archive: the snapshot of entry %d has runs of %d batches up to %+v, and the log has %d up to %+v", c.Sequence, c.Runs.Batches, c.Runs.End, batches, end)
	}
}

// Congested is the report of an owner that its log takes no requests.
type Congested struct{ Owner string }

func (Congested) look(s *State) { s.counts.Congested++ }
