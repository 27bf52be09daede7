package partition

import (
	"time"

	"laneway.dev/pkg/messages"
)

// Apply adds a section of the log to the state. Its batches are not checked: the owner that
// appended them has decided, and may have answered. at is the time of the entry, frontend
// the highest frontend epoch so far.
func (c *Core) Apply(at time.Time, frontend uint64, s Section) {
	c.clock.follow(at, c.settings.LaneExpiry)
	c.ids.expire(c.clock.now)
	c.Evict(c.clock.now)
	offset := s.BaseOffset
	for i := range s.Batches {
		b := &s.Batches[i]
		p := pending{
			batch:  messages.StagedBatch{Submission: messages.Submission{Batch: b.Batch}, Extent: b.Extent},
			epochs: s.Epochs, offset: offset,
		}
		offset += int64(p.batch.Records)
		c.applyBatch(&p, frontend)
	}
	for _, f := range s.Fences {
		c.producers.ApplyFence(f)
	}
	if s.Epochs.Frontend == frontend {
		c.lanes.refused(s.Refused, c.settings, c.clock.now)
	}
	c.nextOffset = offset
}

func (c *Core) applyBatch(p *pending, frontend uint64) {
	b := &p.batch
	if p.epochs.Frontend == frontend {
		c.lanes.of(b.Lane).raise(b.Floor)
		c.lanes.settle(p, frontend, c.clock.now)
	}
	c.lastID = b.MessageID
	switch {
	case b.Sequence.ProducerID != 0:
		c.producers.ApplyBatch(b.Sequence, b.Records, p.offset)
	case b.MessageID != "":
		c.ids.commit(b.MessageID, &firstUse{}, p.offset, c.clock.now)
	}
}

// Continue applies a term record of the log, and sets the next offset, above a gap that it has left out.
func (c *Core) Continue(at time.Time, offset int64) {
	c.nextOffset = offset
	c.restart(at)
}

// RollBack drops everything that is not known to be in the log. Some of it may be there
// nevertheless; then reading the log will find it.
func (c *Core) RollBack() {
	c.dropAccepted()
	c.archive.rollBack()
}

// dropAccepted drops the batches, fences and rejections that are not known to be in the log.
func (c *Core) dropAccepted() {
	c.queue, c.flight, c.rejections, c.rejecting = nil, nil, nil, nil
	c.taken = c.accepted
	c.lanes.rollBack()
	c.ids.rollBack()
	c.producers.RollBack()
}

// Lead starts a term at an offset. Expectations are compared with this end of the log and
// with the batches that are accepted from here on.
func (c *Core) Lead(now time.Time, offset int64) {
	c.nextOffset = offset
	c.tail = tail{c.nextOffset, c.lastID}
	c.restart(now)
}
