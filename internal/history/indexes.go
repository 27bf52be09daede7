package history

import (
	"context"
	"errors"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Manifest returns the manifest of a history. The caller MUST NOT modify it.
func (r *Reader) Manifest(ctx context.Context, h messages.History, id protocol.Partition) (*manifest.Manifest, error) {
	return get(ctx, r, part{h.Manifest, index}, func() (m *manifest.Manifest, err error) {
		m, err = r.parts().Manifest(ctx, h.Manifest, h.Size)
		if err == nil {
			err = same(&m.Partition, id, m.Start == h.Start && m.End == h.End)
		}
		if reason, ok := errors.AsType[*lost](err); ok {
			return nil, damaged("the manifest", h.Manifest, h.Start, after(h.End), reason)
		}
		return m, err
	})
}

// errOther is the error for an object that is intact, and not the one that was referred to.
var errOther = &lost{errors.New("the object is not the one that was stored under this key")}

// same returns an error unless an object is of the partition, and as it should be. Only its topic's
// id and number identify a partition: in another incarnation of the log, it has the same history.
func same(p *protocol.Partition, id protocol.Partition, as bool) error {
	if p.TopicID != id.TopicID || p.Number != id.Number || !as {
		return errOther
	}
	return nil
}

// after returns the entry after a position. Its offset is that of the position.
func after(end messages.Position) messages.Position {
	return messages.Position{Sequence: end.Sequence + 1, Offset: end.Offset}
}

// behind returns the first entry after a segment.
func behind(s *segment.Summary) messages.Position {
	return messages.Position{Sequence: s.Last + 1, Offset: s.End}
}

// list returns a list of segments. s is what the manifest says about it.
func (r *Reader) list(ctx context.Context, s *segment.Summary, id protocol.Partition) (*manifest.List, error) {
	return get(ctx, r, part{s.Key, index}, func() (l *manifest.List, err error) {
		if l, err = r.parts().List(ctx, s.Key); err == nil {
			err = same(&l.Partition, id, segment.Join(s.Key, l.Segments) == *s)
		}
		if reason, ok := errors.AsType[*lost](err); ok {
			return nil, damaged("the list of segments", s.Key, s.Base, behind(s), reason)
		}
		return l, err
	})
}

// footer returns the footer of a segment. s is what the manifest or list says about it.
func (r *Reader) footer(ctx context.Context, s *segment.Summary, id protocol.Partition) (*segment.Footer, error) {
	return get(ctx, r, part{s.Key, index}, func() (*segment.Footer, error) {
		f, tail, err := r.parts().Footer(ctx, s.Key, s.Size)
		if err == nil {
			err = same(&f.Partition, id, f.Summary == *s)
		}
		if err == nil {
			r.keepPages(f, tail, s.Size-int64(len(tail)))
		}
		if reason, ok := errors.AsType[*lost](err); ok {
			return nil, damaged("the segment", s.Key, s.Base, behind(s), reason)
		}
		return f, err
	})
}
