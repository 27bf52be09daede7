package repair

import (
	"context"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
)

// gone reports whether all records of an entry were lost with the history that had them. The objects
// of archived batches are deleted, so the entries that the stream still has of them may be of no use.
// It notes the offsets of an entry that has lost some batches only.
func (c *copying) gone(ctx context.Context, e *messages.LoggedEntry) (bool, error) {
	if e.Sequence > c.archived.lost.End.Sequence || len(e.Entry.Batches) == 0 {
		return false, nil
	}
	var lost []Offsets
	left := false
	offset := e.Entry.BaseOffset
	for i := range e.Entry.Batches {
		b := &e.Entry.Batches[i]
		next := offset + int64(b.Records)
		there, err := c.isThere(ctx, b)
		if err != nil {
			return false, err
		}
		if left = left || there; !there {
			lost = join(lost, Offsets{offset, new(next)})
		}
		offset = next
	}
	if !left {
		return true, nil
	}
	for _, o := range lost {
		c.unreadable = join(c.unreadable, o)
	}
	return false, nil
}

// isThere reports whether the payload of a batch is in the log, or its object in the store.
func (p *planning) isThere(ctx context.Context, b *messages.Placeholder) (bool, error) {
	x := b.Extent
	if b.IsInline() {
		return true, nil
	}
	if there, known := p.objects[x.Key]; known {
		return there, nil
	}
	var first [1]byte
	_, err := objectstore.NewReader(ctx, p.Store, objectstore.Listed{Key: x.Key, Size: x.Offset + x.Length}, 0).ReadAt(first[:], x.Offset)
	if err != nil && !objectstore.IsDamage(err) {
		return false, err
	}
	if p.objects == nil {
		p.objects = make(map[string]bool)
	}
	p.objects[x.Key] = err == nil
	return err == nil, nil
}
