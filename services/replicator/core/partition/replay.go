package partition

import (
	"time"

	"laneway.dev/pkg/messages"
)

// Apply makes a section of the log part of the state. It is never judged again: the log is
// right. at is the time of its entry, frontend the present frontend epoch.
func (c *Core) Apply(at time.Time, frontend uint64, s Section) {
	c.Evict(at)
	offset := s.BaseOffset
	for i := range s.Batches {
		b := &s.Batches[i]
		p := pending{
			batch:  messages.StagedBatch{Submission: messages.Submission{Batch: b.Batch}, Extent: b.Extent},
			epochs: s.Epochs, offset: offset,
		}
		offset += int64(p.batch.Records)
		c.applyBatch(&p, frontend, at)
	}
	for _, f := range s.Fences {
		c.producers.ApplyFence(f)
	}
	if s.Epochs.Frontend == frontend {
		c.lanes.refused(s.Refused, c.settings, at)
	}
	c.nextOffset = offset
}

func (c *Core) applyBatch(p *pending, frontend uint64, at time.Time) {
	b := &p.batch
	if p.epochs.Frontend == frontend {
		c.lanes.of(b.Lane).raise(b.Floor)
		c.lanes.settle(p, frontend, at)
	}
	c.lastID = b.MessageID
	switch {
	case b.Sequence.ProducerID != 0:
		c.producers.ApplyBatch(b.Sequence, b.Records, p.offset)
	case b.MessageID != "":
		c.ids.commit(b.MessageID, &firstUse{}, p.offset, at)
	}
}

// Continue lets the next record have an offset, which skips those below it.
func (c *Core) Continue(offset int64) { c.nextOffset = offset }

// RollBack gives up everything that is not known to be in the log.
func (c *Core) RollBack() {
	c.queue, c.flight, c.rejections, c.rejecting = nil, nil, nil, nil
	c.taken = c.accepted
	c.lanes.rollBack()
	c.ids.rollBack()
	c.producers.RollBack()
}

// Lead starts a term at an offset: from here on releases are taken, and expectations are
// compared with the end of the log.
func (c *Core) Lead(now time.Time, offset int64) {
	c.nextOffset = offset
	c.tail = tail{c.nextOffset, c.lastID}
	c.lanes.touch(now)
}
