package history

import (
	"context"
	"errors"
	"fmt"

	"laneway.dev/internal/core/manifest"
	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// maxIndex bounds the size of a manifest or list in bytes. One of 512 segments has less than
// 100 KiB.
const maxIndex = 64 << 20

// Manifest returns the manifest of a history. The caller MUST NOT modify it.
func (r *Reader) Manifest(ctx context.Context, h messages.History, id protocol.Partition) (*manifest.Manifest, error) {
	return get(ctx, r, part{h.Manifest, index}, func() (m *manifest.Manifest, err error) {
		err = r.readIndex(ctx, h.Manifest, func(data []byte) error {
			if m, err = manifest.Decode(h.Manifest, data); err != nil {
				return err
			}
			return same(&m.Partition, id, m.History() == h)
		})
		if reason, ok := errors.AsType[*lost](err); ok {
			return nil, damaged("the manifest", h.Manifest, h.Start, after(h.End), reason)
		}
		return m, err
	})
}

// errOther is the error for an object that is intact, and not the one that was referred to.
var errOther = fmt.Errorf("%w: the object is not the one that was stored under this key", protocol.ErrMalformed)

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

// readIndex reads a manifest or list, whose head says how long it is.
func (r *Reader) readIndex(ctx context.Context, key string, decode func([]byte) error) error {
	var length int64
	err := r.readParsed(ctx, key, 0, manifest.HeadSize, func(head []byte) (err error) {
		if length, err = manifest.ParseHead(head); err == nil && length > maxIndex {
			err = fmt.Errorf("%w: its length is %d", protocol.ErrMalformed, length)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.readParsed(ctx, key, 0, length, decode)
}

// list returns a list of segments. s is what the manifest says about it.
func (r *Reader) list(ctx context.Context, s *segment.Summary, id protocol.Partition) (*manifest.List, error) {
	return get(ctx, r, part{s.Key, index}, func() (l *manifest.List, err error) {
		err = r.readIndex(ctx, s.Key, func(data []byte) error {
			if l, err = manifest.DecodeList(s.Key, data); err != nil {
				return err
			}
			return same(&l.Partition, id, segment.Join(s.Key, l.Segments) == *s)
		})
		if reason, ok := errors.AsType[*lost](err); ok {
			return nil, damaged("the list of segments", s.Key, s.Base, behind(s), reason)
		}
		return l, err
	})
}

// footer returns the footer of a segment. s is what the manifest or list says about it.
func (r *Reader) footer(ctx context.Context, s *segment.Summary, id protocol.Partition) (*segment.Footer, error) {
	return get(ctx, r, part{s.Key, index}, func() (f *segment.Footer, err error) {
		for tail := min(s.Size, segment.TailBytes); f == nil && err == nil; {
			var content []byte
			err = r.readParsed(ctx, s.Key, s.Size-tail, tail, func(data []byte) error {
				if f, tail, err = segment.ParseTail(s.Key, data, s.Size); err != nil || f == nil {
					return err
				}
				content = data
				return same(&f.Partition, id, f.Summary == *s)
			})
			if err == nil && f != nil {
				r.keepPages(f, content, s.Size-int64(len(content)))
			}
		}
		if reason, ok := errors.AsType[*lost](err); ok {
			return nil, damaged("the segment", s.Key, s.Base, behind(s), reason)
		}
		return f, err
	})
}
