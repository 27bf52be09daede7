package repair

import (
	"context"
	"errors"
	"fmt"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// search reads the headers of every object with batches.
func (i *Inspector) search(ctx context.Context, s *Survey) (*Store, error) {
	store := &Store{Damaged: []Damaged{}}
	byNumber := make(map[int32]*inspected, len(s.partitions))
	for n := range s.partitions {
		byNumber[s.partitions[n].id.Number] = &s.partitions[n]
	}
	for object, err := range i.Store.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		if !objectstore.KeyKind(object.Key).HasBatches() {
			continue
		}
		i.addProgress(Progress{Objects: 1})
		store.Objects++
		store.Bytes += object.Size
		for batch, err := range objectstore.NewReader(ctx, i.Store, object, 0).ScanHeads() {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				store.damaged(object, err)
				break
			}
			if p := byNumber[batch.Partition.Number]; p != nil && batch.Partition.TopicID == s.Report.Topic.ID {
				p.add(&batch)
			}
		}
	}
	return store, nil
}

func (s *Store) damaged(object objectstore.Listed, err error) {
	if len(s.Damaged) == maxDamaged {
		s.MoreDamaged++
		return
	}
	reason := err.Error()
	if corrupt, ok := errors.AsType[*objectstore.CorruptError](err); ok {
		reason = fmt.Sprintf("at offset %d, length %d: %s", corrupt.Offset, corrupt.Length, corrupt.Reason)
	}
	s.Damaged = append(s.Damaged, Damaged{Key: object.Key, Size: object.Size, Reason: reason})
}

// add adds a batch of the store to the candidates, unless the log refers to it.
func (p *inspected) add(b *objectstore.StoredBatch) {
	if at := objectstore.KeyTime(b.Extent.Key); at.After(p.newest) {
		p.newest = at
	}
	if _, known := p.referred[spotOf(b.Extent)]; known {
		return
	}
	p.lost.heads = append(p.lost.heads, headOf(b))
}

// match reads the log again, to find out which candidates it explains.
func (i *Inspector) match(ctx context.Context, p *inspected, part *Partition) error {
	p.referred = nil
	if !p.newest.IsZero() {
		part.NewestObject = new(p.newest.UTC())
	}
	s := newMatcher(&p.lost)
	if len(p.lost.heads) > 0 && p.bounds != nil {
		// The bounds are read again: a batch that was staged during the search may be in the
		// log.
		bounds, err := p.log.Bounds(ctx)
		if err != nil {
			return err
		}
		err = p.log.Walk(ctx, bounds.First, bounds.Last, func(e messages.LoggedEntry) error {
			i.addProgress(Progress{Entries: 1})
			s.entry(&e.Entry)
			return nil
		}, func(partitionlog.Missing) error { return nil })
		if err != nil {
			return err
		}
	}
	if err := i.matchHistory(ctx, p, s); err != nil {
		return err
	}
	s.finish()
	part.Copies, part.Refused = p.lost.copies, p.lost.refused
	part.Lanes = lanes(p.lost.heads)
	return nil
}
