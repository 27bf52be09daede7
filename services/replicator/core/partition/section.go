package partition

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
)

// Section is the part of a log entry that belongs to one partition.
type Section struct {
	Epochs     Epochs // of all its batches and refusals
	BaseOffset int64  // of its first record
	Batches    []messages.Placeholder
	Fences     []messages.LoggedFence // take effect after the batches
	Refused    []messages.LaneNumbers
	// Barrier is set if answers wait for the append of the section, even of an empty one. A
	// replaced owner must not send them, and a successful append proves that this owner has
	// not been replaced.
	Barrier bool
}

// Room bounds a section.
type Room struct {
	Offset int64 // the offset after its last record MUST NOT exceed it
	Items  int   // batches and fences
	Bytes  int   // roughly; the first item may exceed it
	// Payload bounds the bytes of the frames, so that the batches of one entry fit into memory
	// together. The first batch may exceed it.
	Payload int64
	// Watermark is the lowest generation that the object of a batch may have.
	Watermark uint64
}

// Approximate sizes in an entry: of a placeholder without its strings, and of a producer
// sequence.
const (
	placeholderBytes = 40
	sequenceBytes    = 14
)

// size returns the approximate size in an entry.
func (p *pending) size() int {
	switch {
	case p.fence != nil:
		return sequenceBytes + len(p.fence.Name)
	case p.producer != nil:
		return placeholderBytes + sequenceBytes + len(p.batch.Lane) + len(p.batch.MessageID) + len(p.batch.Inline)
	default:
		return placeholderBytes + len(p.batch.Lane) + len(p.batch.MessageID) + len(p.batch.Inline)
	}
}

// Waiting reports whether anything waits for an append.
func (c *Core) Waiting() bool { return len(c.queue)+len(c.rejections) > 0 }

// Next puts waiting batches, fences and rejections into flight, as far as they fit into
// room, and returns their section. All batches of a section have the same epochs; a
// section without batches gets the present ones. If the first batch does not fit, Next
// returns false and the number of offsets that this batch needs. Nothing may be in flight.
//
// A section that is Empty need not be appended, because its answers depend only on what is
// in the log already. Example: all its batches are duplicates of committed ones. The caller
// resolves it at once.
func (c *Core) Next(present Epochs, room Room) (s Section, need int64, ok bool) {
	n := c.nextGroup(room)
	if n == 0 && len(c.queue) > 0 {
		return Section{}, int64(c.queue[0].batch.Records), false
	}
	if c.refuseOutdated(n, room.Watermark) {
		return Section{}, 0, true
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

// attachRejections puts rejections into flight that rest only on batches up to this section.
// They use about a quarter of its bytes at most. The entry lists those of its own frontend
// epoch, except those of batches with producer sequences (see reject). A rejection of a lower
// epoch is sent without being listed, because its lane has ended. One of a higher epoch waits
// for a section with that epoch.
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

// nextGroup returns how many items of the queue go into the next section; 0 if the first
// one does not fit.
func (c *Core) nextGroup(room Room) int {
	n, size := 0, 0
	offset, payload := c.nextOffset, int64(0)
	for n < len(c.queue) && n < room.Items {
		p := &c.queue[n]
		if size += p.size(); n > 0 && size > room.Bytes {
			break
		}
		if n > 0 && p.epochs != c.queue[0].epochs {
			break
		}
		if n > 0 && p.fence == nil && c.queue[n-1].fence != nil {
			break // the fences of an entry take effect after its batches
		}
		if !p.duplicate && p.fence == nil {
			offset += int64(p.batch.Records)
			payload += p.batch.Extent.FrameLength()
		}
		if offset > room.Offset || n > 0 && payload > room.Payload {
			break
		}
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

// Resolve makes the section in flight part of the state, and produces the answers that waited
// for it. It is called once the entry of the section is durable, or at once if the section is
// empty. It reports whether batches, duplicates included, or fences were in flight.
func (c *Core) Resolve(now time.Time, frontend uint64) (some bool) {
	some = len(c.flight) > 0
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
	return some
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
