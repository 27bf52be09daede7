package storecheck

import (
	"context"
	"errors"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/core/sweeprecord"
	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// stored is a segment as it was read.
type stored struct {
	footer  *segment.Footer // nil if it cannot be read
	size    int64
	batches int64 // whole ones
	records int64 // of these batches
	lost    []lostPart
	err     error // why the footer cannot be read
	named   bool  // a history names it
}

// lostPart is a part of a segment that cannot be read: a batch, or the batches of a page, whose
// number is then 0.
type lostPart struct {
	from, to int64 // offsets
	batches  int64
	err      error
}

// scanSegments reads all segments.
func (c *Checker) scanSegments(ctx context.Context) error {
	return c.each(ctx, objectstore.KindSegment, func(o objectstore.Listed) error {
		_, err := c.scanSegment(ctx, o)
		return err
	})
}

// scanSegment reads a segment: its footer, its pages, and all frames. An error ends the check.
func (c *Checker) scanSegment(ctx context.Context, o objectstore.Listed) (*stored, error) {
	s := &stored{size: o.Size}
	footer, err := archive.Footer(ctx, c.objects, o)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, objectstore.ErrNotFound):
		return nil, nil // deleted since the listing, or an upload that failed and has removed its file
	case err != nil:
		s.err = err
		c.comparison.segment(o.Key, s)
		return s, nil
	}
	s.footer = footer
	reader := archive.NewFrames(ctx, c.objects, o)
	for page := range footer.Pages {
		entries, err := archive.Page(ctx, c.objects, footer, page)
		if err == nil {
			err = c.scanFrames(ctx, s, reader, entries)
		} else if !errors.Is(err, objectstore.ErrNotFound) {
			from, to := footer.Pages[page].Base, footer.End
			if page+1 < len(footer.Pages) {
				to = footer.Pages[page+1].Base
			}
			s.lost = append(s.lost, lostPart{from: from, to: to, err: err})
			err = nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(err, objectstore.ErrNotFound) {
			return nil, nil // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
	}
	c.comparison.segment(o.Key, s)
	return s, nil
}

// scanFrames reads the frames of entries. The error is ErrNotFound if the segment is gone.
func (c *Checker) scanFrames(ctx context.Context, s *stored, reader *archive.Frames, entries []messages.LoggedEntry) error {
	for i := range entries {
		n := &entries[i].Entry
		offset := n.BaseOffset
		for k := range n.Batches {
			b := &n.Batches[k]
			next := offset + int64(b.Records)
			if b.Extent == (messages.Extent{}) { // it could not be read when it was archived
				offset = next
				continue
			}
			switch _, err := reader.Read(ctx, b.Extent); {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.Is(err, objectstore.ErrNotFound):
				return err
			case err != nil:
				s.lost = append(s.lost, lostPart{offset, next, 1, err})
			default:
				s.batches++
				s.records += int64(b.Records)
				c.comparison.archivedBatch(s.footer.Partition, b)
			}
			offset = next
		}
	}
	return nil
}

// scanManifests reads all manifests and lists.
func (c *Checker) scanManifests(ctx context.Context) error {
	return c.each(ctx, objectstore.KindManifest, func(o objectstore.Listed) error { return c.scanManifest(ctx, o) })
}

func (c *Checker) scanManifest(ctx context.Context, o objectstore.Listed) error {
	_, err := archive.ManifestOrList(ctx, c.objects, o)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, objectstore.ErrNotFound):
		return nil
	}
	c.comparison.manifest(o, err)
	return nil
}

// scanRecords reads the records of sweeps. One that is torn was not finished, and the next sweep
// replaces it.
func (c *Checker) scanRecords(ctx context.Context) error {
	return c.each(ctx, objectstore.KindRecord, func(o objectstore.Listed) error {
		err := archive.Record(ctx, c.objects, o)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !errors.Is(err, objectstore.ErrNotFound) && !errors.Is(err, sweeprecord.ErrTorn):
			c.comparison.name(o.Key, o.Size, err)
		}
		return nil
	})
}

// contentOf identifies a batch by what is stored of it, in an object of a stager and in a segment.
type contentOf struct {
	topicID uint64
	number  int32
	records uint32
	length  int64
	crc     uint32
}

func content(p protocol.Partition, records uint32, x messages.Extent) contentOf {
	return contentOf{p.TopicID, p.Number, records, x.FrameLength(), x.FrameCRC()}
}
