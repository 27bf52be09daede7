package storecheck

import (
	"context"
	"fmt"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/repair"
	"laneway.dev/pkg/protocol"
)

// history compares the history of a log with the segments.
func (c *Checker) history(ctx context.Context, p protocol.Partition, h *repair.History) error {
	if h == nil {
		return nil
	}
	m, err := archive.Manifest(ctx, c.objects, h.Manifest)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		c.comparison.loseRange(p, h.Manifest, 0, lostPart{from: h.StartOffset, to: h.EndOffset, err: err}, h.EndOffset-h.StartOffset)
		return nil
	}
	c.comparison.found = true
	c.comparison.nameManifest(h.Manifest)
	return archive.Walk(ctx, c.objects, m, 0, archive.Walker{
		List: func(s segment.Summary) error {
			c.comparison.nameManifest(s.Key)
			return nil
		},
		Segment: func(s segment.Summary) error { return c.segment(ctx, p, &s) },
		Damaged: func(d archive.Damage) error {
			c.comparison.loseRange(p, d.Key, d.Size, lostPart{from: d.Base, to: d.End, err: d.Err}, d.End-d.Base)
			return nil
		},
	})
}

// segment compares a segment of a history with the one that was read.
func (c *Checker) segment(ctx context.Context, p protocol.Partition, s *segment.Summary) error {
	read := c.comparison.segments[s.Key]
	if read == nil { // perhaps it was stored after the listing
		var err error
		if read, err = c.scanSegment(ctx, objectstore.Listed{Key: s.Key, Size: s.Size}); err != nil {
			return err
		}
	}
	switch whole := (lostPart{from: s.Base, to: s.End}); {
	case read == nil:
		whole.err = objectstore.ErrNotFound
		c.comparison.loseRange(p, s.Key, 0, whole, s.Records)
	case read.footer == nil:
		read.named, whole.err = true, read.err
		c.comparison.loseRange(p, s.Key, read.size, whole, s.Records)
	case read.footer.Summary != *s:
		read.named = true
		whole.err = &objectstore.CorruptError{
			Damage: archive.DamagedFooter, Key: s.Key, Length: read.size,
			Reason: fmt.Sprintf("it has the entries %d to %d of %s, and its manifest lists others", read.footer.First, read.footer.Last, read.footer.Partition),
		}
		c.comparison.loseRange(p, s.Key, read.size, whole, s.Records)
	default:
		c.comparison.nameSegment(read)
		for _, lost := range read.lost {
			c.comparison.loseRange(p, s.Key, read.size, lost, lost.to-lost.from)
		}
	}
	return nil
}
