package partition

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
)

// Section is what an entry of the log holds for the partition.
type Section struct {
	Epochs     Epochs // of all its batches and rejections
	BaseOffset int64  // of its first record
	Batches    []messages.Placeholder
	Fences     []messages.LoggedFence // after the batches
	Refused    []messages.LaneNumbers
	// Barrier is set if answers wait for the append of the section, even if nothing is in
	// it: a replaced owner must not send them, and an append shows that this one is not.
	Barrier bool
}

// Room bounds a section.
type Room struct {
	Offset int64 // the offset at which it must end at the latest
	Items  int   // batches and fences
	Bytes  int   // roughly
}

// About what a placeholder takes in an entry besides its strings, and what the
// sequence of its producer takes.
const (
	placeholderBytes = 40
	sequenceBytes    = 14
)

// size returns roughly how many bytes of an entry this takes.
func (p *pending) size() int {
	switch {
	case p.fence != nil:
		return sequenceBytes + len(p.fence.Name)
	case p.producer != nil:
		return placeholderBytes + sequenceBytes + len(p.batch.Lane) + len(p.batch.MessageID)
	default:
		return placeholderBytes + len(p.batch.Lane) + len(p.batch.MessageID)
	}
}

// Waiting reports whether anything waits for an append.
func (c *Core) Waiting() bool { return len(c.queue)+len(c.rejections) > 0 }

// Next puts what waits into flight, as far as one section has room for it, and returns the
// section. A section has batches of one frontend and one sequencer epoch; the present ones
// are for a section without batches. If the first batch has no room, Next returns false
// and how many offsets the batch needs. Nothing may be in flight.
//
// A section without content and without Barrier need not be appended: its answers rest on
// what is in the log. It is resolved like any other.
func (c *Core) Next(present Epochs, room Room) (s Section, need int64, ok bool) {
	n := c.nextGroup(room)
	if n == 0 && len(c.queue) > 0 {
		return Section{}, int64(c.queue[0].batch.Records), false
	}
	c.flight = c.queue[:n:n]
	c.queue = c.queue[n:]
	c.taken += uint64(n)
	s = c.assemble(present)
	c.attachRejections(&s, room)
	s.Barrier = len(c.rejecting) > 0
	return s, 0, true
}

// Empty reports whether the section need not be appended.
func (s *Section) Empty() bool { return len(s.Batches) == 0 && len(s.Fences) == 0 && !s.Barrier }

// attachRejections attaches the pending rejections to the section that rest on nothing later. An
// entry is of one frontend epoch, and tells of rejections of that one; a frontend of an
// older epoch does not wait for them any more.
func (c *Core) attachRejections(s *Section, room Room) {
	n, size := 0, 0
	for n < len(c.rejections) && c.rejections[n].after <= c.taken && size < room.Bytes/4 {
		v := &c.rejections[n]
		if v.epoch > s.Epochs.Frontend {
			break
		}
		if v.logged && v.epoch == s.Epochs.Frontend {
			size += placeholderBytes + len(v.outcome.Lane)
			s.Refused = append(s.Refused, messages.LaneNumbers{Lane: v.outcome.Lane, Numbers: []uint64{v.outcome.Number}})
		}
		n++
	}
	c.rejecting, c.rejections = c.rejections[:n:n], c.rejections[n:]
}

// nextGroup returns how many of the queue go into the next section: none if there is no
// room for the first batch.
func (c *Core) nextGroup(room Room) int {
	n, size := 0, 0
	offset := c.nextOffset
	for n < len(c.queue) && n < room.Items && size < room.Bytes {
		p := &c.queue[n]
		if n > 0 && p.epochs != c.queue[0].epochs {
			break
		}
		if n > 0 && p.fence == nil && c.queue[n-1].fence != nil {
			break // in an entry the fences come last
		}
		if !p.duplicate && p.fence == nil {
			offset += int64(p.batch.Records)
		}
		if offset > room.Offset {
			break
		}
		size += p.size()
		n++
	}
	return n
}

// assemble gives the batches in flight their offsets and returns their section.
func (c *Core) assemble(present Epochs) Section {
	s := Section{Epochs: present, BaseOffset: c.nextOffset, Batches: make([]messages.Placeholder, 0, len(c.flight))}
	next := c.nextOffset
	for i := range c.flight {
		p := &c.flight[i]
		s.Epochs = p.epochs
		if p.fence != nil {
			s.Fences = append(s.Fences, p.fence.LoggedFence)
		}
		if p.duplicate || p.fence != nil {
			continue
		}
		p.offset = next
		next += int64(p.batch.Records)
		s.Batches = append(s.Batches, p.batch.Placeholder())
	}
	return s
}

// Resolve makes what is in flight part of the state, because the append of its section is
// durable, and lets the answers leave. It reports whether more than rejections was in
// flight.
func (c *Core) Resolve(now time.Time, frontend uint64) (more bool) {
	more = len(c.flight) > 0
	c.fx.Committed = slices.Grow(c.fx.Committed, len(c.flight))
	for i := range c.flight {
		p := &c.flight[i]
		if p.fence != nil {
			c.fenceCommitted(p)
			continue
		}
		if p.duplicate {
			p.offset = p.repeated()
			c.outcome(p.epochs.Frontend, messages.Outcome{
				Ticket: p.batch.Ticket, Offset: p.offset, Duplicate: true,
			})
		} else {
			c.commit(now, p)
		}
		c.lanes.settle(p, frontend, now)
	}
	for _, v := range c.rejecting {
		c.outcome(v.epoch, v.outcome)
		if v.epoch == frontend {
			c.lanes.refuse(v.outcome.Lane, v.outcome.Number)
		}
	}
	c.flight, c.rejecting = nil, nil
	return more
}

// repeated returns the offset of the batch that a duplicate repeats.
func (p *pending) repeated() int64 {
	if p.original != nil {
		return p.original.Offset
	}
	return p.first.offset
}

func (c *Core) commit(now time.Time, p *pending) {
	c.nextOffset, c.lastID = p.offset+int64(p.batch.Records), p.batch.MessageID
	c.stats.Batches++
	c.stats.Records += uint64(p.batch.Records)
	if p.first != nil {
		c.ids.commit(p.batch.MessageID, p.first, p.offset, now)
	}
	if p.producer != nil {
		c.producers.Commit(p.producer, p.offset)
	}
	c.fx.Committed = append(c.fx.Committed, Committed{Batch: p.batch, Offset: p.offset, Since: p.since})
}
