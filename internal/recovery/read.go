package recovery

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Output takes what Read finds, in the order of the offsets. An error of a function ends the read.
type Output struct {
	// Record takes a record, whose headers and value are valid during the call.
	Record func(*client.Record) error
	// Gap takes offsets without records, and those whose records cannot be read.
	Gap func(client.Gap) error
}

var (
	errGivenUp = errors.New("its batch could not be read when it was archived")
	errNowhere = errors.New("no segment that can be read has them")
)

// Read reads the records of a partition. If several segments have an offset, because they were
// merged or a job was done twice, a damaged one is replaced by another. It holds a page and a batch
// of each of these segments in memory. The error means that the store cannot be read.
func (p *Partition) Read(ctx context.Context, store objectstore.Store, out Output) error {
	r := &reader{store: store, id: p.ID, out: out, next: p.Start, waiting: p.parts()}
	for r.next < p.End {
		before := r.next
		r.admit()
		s := r.choose()
		if s == nil {
			if err := r.skip(p.End); err != nil {
				return err
			}
			continue
		}
		damage, err := r.read(ctx, s)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if r.next > before {
			r.retry()
		}
		s.tried = damage != nil || r.next == before
		if damage != nil && (r.damage == nil || damage.to < r.damage.to) {
			r.damage = damage
		}
	}
	return r.flush()
}

// part is a segment, as far as it counts.
type part struct {
	segment.Summary
	until int64 // records from this offset on do not count
	tried bool  // the next offset is damaged

	footer  *segment.Footer // nil until the segment is read
	frames  *archive.Frames
	page    int // of entries
	entries []messages.LoggedEntry
}

// parts returns the segments by their first offsets. An incarnation of a log ends where the next one
// begins: a repair gave up what came after that.
func (p *Partition) parts() []*part {
	slices.SortFunc(p.segments, func(a, b segment.Summary) int { return cmp.Compare(b.Incarnation, a.Incarnation) })
	var parts []*part
	begin := int64(math.MaxInt64) // of the incarnations after that of the segment
	lowest := begin
	for i := range p.segments {
		s := &p.segments[i]
		if i > 0 && s.Incarnation != p.segments[i-1].Incarnation {
			begin = lowest
		}
		lowest = min(lowest, s.Base)
		if until := min(s.End, begin); s.Base < until {
			parts = append(parts, &part{Summary: *s, until: until})
		}
	}
	slices.SortStableFunc(parts, func(a, b *part) int { return cmp.Compare(a.Base, b.Base) })
	return parts
}

// damage is a range of offsets that a segment cannot provide. It begins at the next offset.
type damage struct {
	to  int64
	err error
}

// reader reads a partition.
type reader struct {
	store   objectstore.Store
	id      protocol.Partition
	out     Output
	next    int64   // offset
	waiting []*part // that begin after the next offset
	active  []*part // that have it
	damage  *damage // of the next offset, in all segments that were tried
	gap     *client.Gap
	records []client.Record // of a batch, memory that is used again
}

// admit moves the segments that have the next offset to active, and drops those that end before it.
func (r *reader) admit() {
	for len(r.waiting) > 0 && r.waiting[0].Base <= r.next {
		r.active = append(r.active, r.waiting[0])
		r.waiting = r.waiting[1:]
	}
	r.active = slices.DeleteFunc(r.active, func(s *part) bool { return s.until <= r.next })
}

// choose returns the segment with the next offset that reaches furthest; nil if there is none that
// was not tried.
func (r *reader) choose() (best *part) {
	for _, s := range r.active {
		if !s.tried && (best == nil || s.until > best.until) {
			best = s
		}
	}
	return best
}

// retry forgets which segments were tried.
func (r *reader) retry() {
	for _, s := range r.active {
		s.tried = false
	}
	r.damage = nil
}

// skip passes over offsets that no segment can provide.
func (r *reader) skip(end int64) error {
	to, reason := end, errNowhere
	if r.damage != nil {
		to, reason = r.damage.to, r.damage.err
	}
	if len(r.waiting) > 0 {
		to = min(to, r.waiting[0].Base)
	}
	r.retry()
	return r.pass(to, protocol.Errorf(protocol.CodeCorrupt, "%v", reason))
}

// pass passes over offsets without records. Neighboring ranges are one gap.
func (r *reader) pass(to int64, reason *protocol.Error) error {
	from := r.next
	r.next = to
	if g := r.gap; g != nil && g.Last+1 == from && (g.Err == nil) == (reason == nil) {
		g.Last = to - 1
		return nil
	}
	err := r.flush()
	r.gap = &client.Gap{Topic: r.id.Topic, Partition: r.id.Number, First: from, Last: to - 1, Err: reason}
	return err
}

// flush reports the last gap.
func (r *reader) flush() error {
	g := r.gap
	if r.gap = nil; g == nil {
		return nil
	}
	return r.out.Gap(*g)
}

// read reads a segment from the next offset on, up to its end or to the first damage.
func (r *reader) read(ctx context.Context, s *part) (*damage, error) {
	object := objectstore.Listed{Key: s.Key, Size: s.Size}
	if s.footer == nil {
		footer, err := archive.Footer(ctx, r.store, object)
		if err != nil {
			return damageOf(err, s.until)
		}
		s.footer, s.frames, s.page = footer, archive.NewFrames(ctx, r.store, object), -1
	}
	for page := s.footer.PageAt(r.next); page < len(s.footer.Pages) && r.next < s.until; page++ {
		if s.page != page {
			entries, err := archive.Page(ctx, r.store, s.footer, page)
			if err != nil {
				end := s.until
				if page+1 < len(s.footer.Pages) {
					end = min(end, s.footer.Pages[page+1].Base)
				}
				return damageOf(err, end)
			}
			s.page, s.entries = page, entries
		}
		for i := range s.entries {
			if lost, err := r.entry(ctx, s, &s.entries[i].Entry); lost != nil || err != nil {
				return lost, err
			}
		}
	}
	return nil, nil
}

// damageOf returns the damage up to an offset if an error means damage. Otherwise it returns the error.
func damageOf(err error, to int64) (*damage, error) {
	if isDamage(err) || errors.Is(err, protocol.ErrMalformed) || errors.Is(err, errGivenUp) {
		return &damage{to, err}, nil
	}
	return nil, err
}

// entry passes on the records of an entry from the next offset on.
func (r *reader) entry(ctx context.Context, s *part, n *messages.Entry) (*damage, error) {
	if to := min(n.BaseOffset, s.until); n.Gap > 0 && to > r.next {
		if err := r.pass(to, nil); err != nil {
			return nil, err
		}
	}
	offset := n.BaseOffset
	for i := range n.Batches {
		b := &n.Batches[i]
		begin, end := offset, offset+int64(b.Records)
		if offset = end; end <= r.next || begin >= s.until {
			continue
		}
		if err := r.batch(ctx, s, b); err != nil {
			return damageOf(err, min(end, s.until))
		}
		for k := range r.records {
			record := &r.records[k]
			if record.Offset = begin + int64(k); record.Offset < r.next || record.Offset >= s.until {
				continue
			}
			record.Topic, record.Partition, record.Time = r.id.Topic, r.id.Number, n.At()
			if err := errors.Join(r.flush(), r.out.Record(record)); err != nil {
				return nil, err
			}
		}
		r.next = min(end, s.until)
	}
	return nil, nil
}

// batch reads the records of a batch.
func (r *reader) batch(ctx context.Context, s *part, b *messages.Placeholder) error {
	r.records = r.records[:0]
	if b.Extent == (messages.Extent{}) {
		return errGivenUp
	}
	frame, err := s.frames.Read(ctx, b.Extent)
	if err != nil {
		return err
	}
	content, err := protocol.NewFrameReader(frame)
	if err != nil {
		return err
	}
	defer content.Close()
	for record, ok := content.Next(); ok; record, ok = content.Next() {
		r.records = append(r.records, client.Record{Headers: record.Headers, Value: record.Value})
	}
	if err := content.Err(); err != nil {
		return err
	}
	if len(r.records) != int(b.Records) {
		return protocol.ErrMalformed
	}
	return nil
}
