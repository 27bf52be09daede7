package core

import (
	"errors"
	"fmt"

	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
)

// Plan is the segment of one job. The shell adds the entries of the log, reads what Reads returns,
// hands the frames over, and stores what Build returns. A Plan belongs to one goroutine, except
// that Frame may be called by many for different batches.
type Plan struct {
	job     messages.Archive
	limit   int64
	next    messages.Position // where the next entry has to begin
	entries []messages.LoggedEntry
	frames  [][][]byte // of each batch of each entry; nil if it could not be read
	reads   []Read
	corrupt []error                 // of inline batches
	at      map[messages.Extent]int // the place in reads of what is stored
	merged  []*segment.Whole        // whose entries come before those of the job
	batches int64                   // of all entries
	bytes   int64                   // of all frames, with those of blocks that are not needed
}

// Read is something that is stored in an object and that the job needs: a frame, or a compressed
// block with some frames.
type Read struct {
	Stored  messages.Extent
	Batches []BatchRef
}

// BatchRef names a batch of a job by its place: the entry, counted from the first one of the job,
// and the batch in it. There may be hundreds of thousands, so it is small.
type BatchRef struct{ Entry, Batch uint32 }

// batchMemory is roughly the memory of a batch without its frame, in bytes: its placeholder, its
// Read, and the slice of its frame.
const batchMemory = 300

// NewPlan returns a plan without entries. limit bounds the memory of the job, in bytes.
func NewPlan(job messages.Archive, limit int64) (*Plan, error) {
	p := &Plan{job: job, limit: limit, at: make(map[messages.Extent]int)}
	p.next = messages.Position{Sequence: job.Base.End.Sequence + 1, Offset: job.Base.End.Offset}
	if job.To.Sequence < p.next.Sequence || job.To.Offset < p.next.Offset {
		return nil, fmt.Errorf("the job ends at entry %d and offset %d, before it begins at entry %d and offset %d",
			job.To.Sequence, job.To.Offset, p.next.Sequence, p.next.Offset)
	}
	return p, nil
}

// Next returns the sequence of the entry that is added next. The last one is that of To.
func (p *Plan) Next() uint64 { return p.next.Sequence }

// Add adds the next entry of the log. An entry that does not follow the one before is an error:
// JetStream answers a request for an entry that was purged with the next one. Only the entry that
// begins a log may have a higher sequence: a log that continues another one begins above all
// sequences of that one, and at the offset where its history ends.
func (p *Plan) Add(e messages.LoggedEntry) error {
	begin := e.Entry.BaseOffset - e.Entry.Gap
	continues := len(p.entries) == 0 && e.Entry.Created && e.Sequence > p.next.Sequence
	switch {
	case e.Sequence != p.next.Sequence && !continues:
		return fmt.Errorf("entry %d of the log is not there, the next one is %d", p.next.Sequence, e.Sequence)
	case begin != p.next.Offset:
		return fmt.Errorf("entry %d of the log begins at offset %d, but the one before ends at %d", e.Sequence, begin, p.next.Offset)
	}
	p.next = messages.Position{Sequence: e.Sequence + 1, Offset: e.Entry.NextOffset()}
	p.frames = append(p.frames, make([][]byte, len(e.Entry.Batches)))
	p.entries = append(p.entries, e)
	for i := range e.Entry.Batches {
		p.read(BatchRef{uint32(len(p.entries) - 1), uint32(i)})
	}
	if p.memory() > p.limit {
		return fmt.Errorf("the job needs more than %d bytes of memory, which is the limit of the archiver; give it more with --archiver-bytes, or archive smaller parts", p.limit)
	}
	return nil
}

// memory returns the bytes that the job needs. Frames that are compressed need twice as much: both
// are in memory until the segment is stored.
func (p *Plan) memory() int64 {
	frames := p.bytes
	if p.job.Codec != "" {
		frames *= 2
	}
	return frames + p.batches*batchMemory + mergedMemory(p.merged)
}

// read adds a batch to what is read. A block is read once for all of its batches.
func (p *Plan) read(ref BatchRef) {
	p.batches++
	if b := &p.entries[ref.Entry].Entry.Batches[ref.Batch]; b.IsInline() {
		p.readInline(ref, b)
		return
	}
	stored := p.Extent(ref).Stored()
	if stored.Compressed() {
		if at, known := p.at[stored]; known {
			p.reads[at].Batches = append(p.reads[at].Batches, ref)
			return
		}
		p.at[stored] = len(p.reads)
		p.bytes += int64(stored.Block.Bytes)
	} else {
		p.bytes += stored.Length
	}
	p.reads = append(p.reads, Read{Stored: stored, Batches: []BatchRef{ref}})
}

// readInline takes the frame of an inline batch from its entry. If it is corrupt, it is damaged,
// like an object that cannot be read.
func (p *Plan) readInline(ref BatchRef, b *messages.Placeholder) {
	p.bytes += b.Extent.Length
	frame, err := b.InlineFrame()
	if err != nil {
		p.corrupt = append(p.corrupt, fmt.Errorf("batch %d of entry %d: %w", ref.Batch, p.entries[ref.Entry].Sequence, err))
		return
	}
	p.Frame(ref, frame)
}

// Corrupt returns what is wrong with the inline batches that are corrupt; nil if none is.
func (p *Plan) Corrupt() error { return errors.Join(p.corrupt...) }

// Complete returns an error unless the entries end where the job does.
func (p *Plan) Complete() error {
	if p.next.Sequence != p.job.To.Sequence+1 {
		return fmt.Errorf("entry %d of the log is not there", p.next.Sequence)
	}
	if p.next.Offset != p.job.To.Offset {
		return fmt.Errorf("entry %d of the log ends at offset %d, but the job at %d", p.job.To.Sequence, p.next.Offset, p.job.To.Offset)
	}
	return nil
}

// Extent returns where the frame of a batch lies.
func (p *Plan) Extent(ref BatchRef) messages.Extent {
	return p.entries[ref.Entry].Entry.Batches[ref.Batch].Extent
}

// Reads returns what the job needs from the object store.
func (p *Plan) Reads() []Read { return p.reads }

// Frame hands over the frame of a batch, which MUST match the extent of the batch. The caller MUST
// NOT modify it. A batch without a frame is damaged in the segment.
func (p *Plan) Frame(ref BatchRef, frame []byte) { p.frames[ref.Entry][ref.Batch] = frame }

// Build returns the segment under a key, as the parts for Store.Put, and what the manifest says
// about it. It may be called again with another key.
func (p *Plan) Build(key string) ([][]byte, segment.Summary, error) {
	b := segment.NewBuilder(key, p.job.Partition, p.job.Codec)
	for _, w := range p.merged {
		if err := b.AddWhole(w); err != nil {
			return nil, segment.Summary{}, err
		}
	}
	for i := range p.entries {
		if err := b.Add(p.entries[i], p.frames[i]); err != nil {
			return nil, segment.Summary{}, err
		}
	}
	return b.Finish()
}

// Compare returns an error if entries of a segment are not those of the job, or of segments that are
// merged with it.
func (p *Plan) Compare(entries []messages.LoggedEntry) error {
	for i := range entries {
		got := &entries[i]
		want, damaged := p.entry(got.Sequence)
		if want == nil {
			return fmt.Errorf("the segment has entry %d, which is not one of the job", got.Sequence)
		}
		if err := compareEntry(want, &got.Entry, damaged); err != nil {
			return fmt.Errorf("entry %d of the segment: %w", got.Sequence, err)
		}
	}
	return nil
}

// entry returns the entry at a sequence, and which of its batches are damaged; nil if it is not one
// of the segment.
func (p *Plan) entry(sequence uint64) (e *messages.Entry, damaged func(batch int) bool) {
	if at := sequence - p.entries[0].Sequence; at < uint64(len(p.entries)) {
		return &p.entries[at].Entry, func(batch int) bool { return p.frames[at][batch] == nil }
	}
	for _, w := range p.merged {
		if at := sequence - w.First; at < uint64(len(w.Entries)) {
			e = &w.Entries[at].Entry
			return e, func(batch int) bool { return e.Batches[batch].Extent.Length == 0 }
		}
	}
	return nil, nil
}

func compareEntry(want, got *messages.Entry, damaged func(batch int) bool) error {
	if got.BaseOffset != want.BaseOffset || got.Gap != want.Gap || got.Created != want.Created || got.Time != want.Time ||
		got.RisingFrom != want.RisingFrom || len(got.Batches) != len(want.Batches) {
		return fmt.Errorf("it is at offset %d with %d batches, should be at %d with %d", got.BaseOffset, len(got.Batches), want.BaseOffset, len(want.Batches))
	}
	for i := range want.Batches {
		g, w := &got.Batches[i], &want.Batches[i]
		damaged := damaged(i)
		switch {
		case g.Records != w.Records || g.MessageID != w.MessageID || g.Sequence != w.Sequence:
			return fmt.Errorf("batch %d is another one", i)
		case damaged && g.Extent != messages.Extent{}, !damaged && (g.Extent.FrameCRC() != w.Extent.FrameCRC() || g.Extent.FrameLength() != w.Extent.FrameLength()):
			return fmt.Errorf("batch %d has another frame", i)
		}
	}
	return nil
}
