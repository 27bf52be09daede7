package segment

import (
	"errors"
	"fmt"
	"slices"

	"laneway.dev/pkg/messages"
)

// Whole is a segment that is in memory as a whole. It refers to the bytes of the object.
type Whole struct {
	*Footer
	Entries []messages.LoggedEntry // as ParsePage returns them
	data    []byte                 // the frames and blocks
}

// Parse reads the object of a segment with a key. It compares the checksums of the footer and of
// the pages. Those of frames are in the extents of the entries, and are left to the caller.
//
// Errors wrap protocol.ErrMalformed, or layout.ErrVersion.
func Parse(key string, object []byte) (*Whole, error) {
	f, _, err := ParseTail(key, object, int64(len(object)))
	if err != nil {
		return nil, err
	}
	w := &Whole{Footer: f, data: object[f.dataBegin():f.Pages[0].Position]}
	for i := range f.Pages {
		p := &f.Pages[i]
		entries, err := f.ParsePage(i, object[p.Position:p.Position+p.Length])
		if err != nil {
			return nil, err
		}
		w.Entries = append(w.Entries, entries...)
	}
	return w, nil
}

// Content returns the bytes of an extent of the segment, which are a frame or a block.
func (w *Whole) Content(x messages.Extent) []byte {
	at := x.Offset - w.dataBegin()
	return w.data[at : at+x.Length]
}

// AddWhole appends all entries of another segment of the partition. Its frames and blocks are copied
// as they are: nothing is compressed again. The segment MUST follow what was added before, in the
// same incarnation of the log. The caller MUST NOT modify its object until the new one is stored.
// After an error nothing has changed.
func (b *Builder) AddWhole(w *Whole) error {
	if err := b.checkWhole(w); err != nil {
		return fmt.Errorf("add segment %q to segment %q: %w", w.Key, b.footer.Key, err)
	}
	b.flush()
	moved := b.size - w.dataBegin()
	b.append(w.data)
	for i := range w.Entries {
		e := w.Entries[i]
		e.Entry.Batches = slices.Clone(e.Entry.Batches)
		for j := range e.Entry.Batches {
			if x := &e.Entry.Batches[j].Extent; *x != (messages.Extent{}) {
				x.Key, x.Offset = "", x.Offset+moved
			}
		}
		b.pages.add(&e)
	}
	s := w.Summary
	if b.footer.Last > 0 {
		s = Join("", []Summary{b.footer.Summary, w.Summary})
	}
	s.Key, s.Size = b.footer.Key, 0 // Finish sets the size
	b.footer.Summary = s
	return nil
}

func (b *Builder) checkWhole(w *Whole) error {
	s := &b.footer.Summary
	p, of := &w.Partition, &b.footer.Partition
	switch {
	case p.TopicID != of.TopicID || p.Number != of.Number || p.Incarnation != of.Incarnation:
		return errors.New("it is of another partition or incarnation")
	case s.Last > 0 && w.First != s.Last+1:
		return fmt.Errorf("it begins with entry %d, and entry %d is next", w.First, s.Last+1)
	case s.Last > 0 && w.Base != s.End:
		return fmt.Errorf("it begins at offset %d, and offset %d is next", w.Base, s.End)
	}
	return nil
}
