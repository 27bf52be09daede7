package segment

import (
	"errors"
	"fmt"
	"math"

	"laneway.dev/internal/core/layout"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Builder builds one segment. It does not copy frames, unless it compresses them: the parts refer
// to them, so the caller MUST NOT modify a frame until the segment is stored. A Builder belongs
// to one goroutine.
type Builder struct {
	footer Footer
	size   int64    // bytes of parts
	parts  [][]byte // header, frames and blocks
	blocks blocks
	// waiting are entries with frames that wait for their block, and those behind such entries.
	waiting []messages.LoggedEntry
	pages   pages
}

// NewBuilder returns a Builder for the segment of a partition with a key. With a codec,
// neighboring frames that are not compressed yet are compressed together. The empty codec and
// protocol.CompressionNone leave frames as they are.
func NewBuilder(key string, id protocol.Partition, codec protocol.Compression) *Builder {
	b := &Builder{footer: Footer{Partition: id, Summary: Summary{Key: key, Incarnation: id.Incarnation}}}
	if codec.Known() {
		b.blocks.codec = codec
	}
	b.append(appendHeader(nil, id))
	return b
}

// Add appends an entry, and the frames of its batches in their order. An empty frame stands
// for a batch that cannot be read. Entries MUST have consecutive sequences and offsets, and a
// frame MUST match the extent that the entry names for it. After an error nothing has changed.
//
// The segment keeps of an entry what readers need: TopicID, BaseOffset, Gap, Created, Time and
// RisingFrom, and of its batches Records, MessageID, Sequence and where the frame is.
func (b *Builder) Add(e messages.LoggedEntry, frames [][]byte) error {
	if err := b.check(&e, frames); err != nil {
		return fmt.Errorf("add entry %d of %s to segment %q: %w", e.Sequence, b.footer.Partition, b.footer.Key, err)
	}
	n := stripped(&e.Entry)
	for i, frame := range frames {
		b.place(frame, e.Entry.Batches[i].Extent.FrameCRC(), &n.Batches[i].Extent)
	}
	b.waiting = append(b.waiting, messages.LoggedEntry{Sequence: e.Sequence, Entry: n})
	if len(b.blocks.frames) == 0 {
		b.describe()
	}
	b.count(&e, frames)
	return nil
}

func (b *Builder) check(e *messages.LoggedEntry, frames [][]byte) error {
	s, n := &b.footer.Summary, &e.Entry
	switch {
	case len(s.Key) > layout.MaxText || len(b.footer.Partition.Topic) > layout.MaxText:
		return errors.New("the key or the name of the topic is too long")
	case e.Sequence == 0 || e.Sequence == math.MaxUint64:
		return errors.New("the sequence is impossible")
	case n.TopicID != b.footer.Partition.TopicID:
		return fmt.Errorf("it is an entry of topic %d", n.TopicID)
	case s.Last > 0 && e.Sequence != s.Last+1:
		return fmt.Errorf("the entry before it is %d", s.Last)
	case s.Last > 0 && n.BaseOffset-n.Gap != s.End:
		return fmt.Errorf("it begins at offset %d, and the entry before it ends at %d", n.BaseOffset-n.Gap, s.End)
	case n.RisingFrom > e.Sequence:
		return fmt.Errorf("times rise from entry %d, which is a later one", n.RisingFrom)
	case len(frames) != len(n.Batches):
		return fmt.Errorf("%d frames for %d batches", len(frames), len(n.Batches))
	}
	for i, frame := range frames {
		x := &n.Batches[i].Extent
		if len(frame) > 0 && (int64(len(frame)) != x.FrameLength() || layout.Sum(frame) != x.FrameCRC()) {
			return fmt.Errorf("the frame of batch %d does not match its extent", i)
		}
	}
	return nil
}

// stripped returns what a segment keeps of an entry, with empty extents.
func stripped(n *messages.Entry) messages.Entry {
	kept := messages.Entry{
		TopicID: n.TopicID, BaseOffset: n.BaseOffset, Gap: n.Gap, Created: n.Created, Time: n.Time, RisingFrom: n.RisingFrom,
	}
	if len(n.Batches) > 0 {
		kept.Batches = make([]messages.Placeholder, len(n.Batches))
	}
	for i := range n.Batches {
		from := &n.Batches[i].Batch
		kept.Batches[i].Batch = messages.Batch{Records: from.Records, MessageID: from.MessageID, Sequence: from.Sequence}
	}
	return kept
}

// place puts a frame into the segment, or lets it wait for its block. sum is its CRC-32C.
func (b *Builder) place(frame []byte, sum uint32, at *messages.Extent) {
	switch {
	case len(frame) == 0:
		return
	case !b.blocks.takes(frame):
		b.flush()
		b.store(frame, sum, at)
		return
	case b.blocks.full(frame):
		b.flush()
	}
	b.blocks.add(frame, sum, at)
}

// store puts a frame into the segment as it is.
func (b *Builder) store(frame []byte, sum uint32, at *messages.Extent) {
	*at = messages.Extent{Offset: b.size, Length: int64(len(frame)), CRC: sum}
	b.append(frame)
}

// flush puts the frames that wait into the segment, and then the entries before them into pages.
func (b *Builder) flush() {
	if block := b.blocks.compress(b.size); block != nil {
		b.append(block)
	} else {
		for i := range b.blocks.frames {
			f := &b.blocks.frames[i]
			b.store(f.frame, f.sum, f.at)
		}
	}
	b.blocks.clear()
	b.describe()
}

// describe puts entries into pages. No frame of theirs waits.
func (b *Builder) describe() {
	for i := range b.waiting {
		b.pages.add(&b.waiting[i])
	}
	clear(b.waiting)
	b.waiting = b.waiting[:0]
}

// count adds an entry to the summary.
func (b *Builder) count(e *messages.LoggedEntry, frames [][]byte) {
	s, n := &b.footer.Summary, &e.Entry
	if s.Last == 0 {
		s.First, s.Base, s.FirstTime = e.Sequence, n.BaseOffset-n.Gap, n.Time
	}
	s.Last, s.End, s.LastTime, s.RisingFrom = e.Sequence, n.NextOffset(), n.Time, n.RisingFrom
	s.Missing += n.Gap
	for i, frame := range frames {
		if len(frame) == 0 {
			s.Damaged += int64(n.Batches[i].Records)
		} else {
			s.Records += int64(n.Batches[i].Records)
		}
	}
}

// Finish ends the segment. It returns the object as the parts for Store.Put, and what the
// manifest says about it. Without entries it fails. The Builder MUST NOT be used after that.
func (b *Builder) Finish() (parts [][]byte, s Summary, err error) {
	if b.footer.Last == 0 {
		return nil, Summary{}, fmt.Errorf("segment %q of %s has no entries", b.footer.Key, b.footer.Partition)
	}
	b.flush()
	b.pages.close()
	at := b.size
	for i := range b.pages.places {
		b.pages.places[i].Position = at
		at += b.pages.places[i].Length
	}
	b.footer.Pages = b.pages.places
	footer := b.footer.appendFooter(nil, at)
	return append(append(b.parts, b.pages.done...), footer), b.footer.Summary, nil
}

func (b *Builder) append(part []byte) {
	b.parts = append(b.parts, part)
	b.size += int64(len(part))
}
