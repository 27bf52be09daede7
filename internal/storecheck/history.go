package storecheck

import (
	"context"
	"errors"
	"fmt"

	"laneway.dev/internal/archive"
	"laneway.dev/internal/core/segment"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/repair"
	"laneway.dev/pkg/protocol"
)

// mostReads bounds how often a history is read because it has moved meanwhile.
const mostReads = 5

// historyRead is what was read of a history.
type historyRead struct {
	manifests []string  // keys of the manifest and the lists that can be read
	segments  []*stored // those with a footer that can be read
	lost      []historyLoss
}

// historyLoss is a part of a history that cannot be read because of an object.
type historyLoss struct {
	lostPart
	key     string
	size    int64
	records int64 // as far as they are known
}

// isMissing reports whether an object is not there.
func (h *historyRead) isMissing() bool {
	for i := range h.lost {
		if errors.Is(h.lost[i].err, objectstore.ErrNotFound) {
			return true
		}
	}
	return false
}

func (h *historyRead) lose(key string, size int64, part lostPart, records int64) {
	h.lost = append(h.lost, historyLoss{part, key, size, records})
}

// history compares the history of a log with the segments. An object that is missing may have been
// replaced and deleted since the log was read, so the newest history counts.
func (c *Checker) history(ctx context.Context, p protocol.Partition, h *repair.History) error {
	if h == nil {
		return nil
	}
	at := *h
	for reads := 1; ; reads++ {
		read, err := c.readHistory(ctx, p, &at)
		if err != nil {
			return err
		}
		if reads < mostReads && read.isMissing() && c.moved(ctx, p, &at) {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.comparison.history(p, read)
		return nil
	}
}

// moved looks up whether a log has a newer history, and takes it. If the log cannot be read, it has none.
func (c *Checker) moved(ctx context.Context, p protocol.Partition, h *repair.History) bool {
	newest, err := partitionlog.New(c.Conn, c.JS, p).History(ctx)
	if err != nil || !newest.Archived() || newest.Manifest == h.Manifest || newest.End.Sequence < h.EndSequence {
		return false
	}
	*h = repair.History{Manifest: newest.Manifest, StartOffset: newest.Start, EndSequence: newest.End.Sequence, EndOffset: newest.End.Offset}
	return true
}

// readHistory reads a manifest, its lists, and the segments that were not read before.
func (c *Checker) readHistory(ctx context.Context, p protocol.Partition, h *repair.History) (*historyRead, error) {
	read := &historyRead{}
	m, err := archive.Manifest(ctx, c.objects, h.Manifest)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		read.lose(h.Manifest, 0, lostPart{from: h.StartOffset, to: h.EndOffset, err: err}, h.EndOffset-h.StartOffset)
		return read, nil
	}
	read.manifests = append(read.manifests, h.Manifest)
	return read, archive.Walk(ctx, c.objects, m, 0, archive.Walker{
		List: func(s segment.Summary) error {
			read.manifests = append(read.manifests, s.Key)
			return nil
		},
		Segment: func(s segment.Summary) error { return c.readSegment(ctx, read, &s) },
		Damaged: func(d archive.Damage) error {
			read.lose(d.Key, d.Size, lostPart{from: d.Base, to: d.End, err: d.Err}, d.End-d.Base)
			return nil
		},
	})
}

// readSegment compares a segment of a history with the one that was read.
func (c *Checker) readSegment(ctx context.Context, h *historyRead, s *segment.Summary) error {
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
		h.lose(s.Key, 0, whole, s.Records)
	case read.footer == nil:
		whole.err = read.err
		h.lose(s.Key, read.size, whole, s.Records)
	case read.footer.Summary != *s:
		whole.err = &objectstore.CorruptError{
			Damage: archive.DamagedFooter, Key: s.Key, Length: read.size,
			Reason: fmt.Sprintf("it has the entries %d to %d of %s, and its manifest lists others", read.footer.First, read.footer.Last, read.footer.Partition),
		}
		h.lose(s.Key, read.size, whole, s.Records)
	default:
		h.segments = append(h.segments, read)
		for _, lost := range read.lost {
			h.lose(s.Key, read.size, lost, lost.to-lost.from)
		}
	}
	return nil
}

// history adds what was read of the history of a log, which needs all of it.
func (c *comparison) history(p protocol.Partition, h *historyRead) {
	c.found = c.found || len(h.manifests) > 0
	for _, key := range h.manifests {
		delete(c.manifests, key)
	}
	for _, s := range h.segments {
		c.nameSegment(s)
	}
	for i := range h.lost {
		c.loseRange(p, h.lost[i].key, h.lost[i].size, h.lost[i].lostPart, h.lost[i].records)
	}
}
