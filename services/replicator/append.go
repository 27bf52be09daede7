package replicator

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
)

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

// startAppend makes the next entry of what waits, unless an append is under
// way. One entry holds batches of one frontend and one sequencer epoch.
func (c *Core) startAppend(now time.Time) {
	for c.flight == nil && len(c.sentenced) == 0 && len(c.queue)+len(c.verdicts) > 0 && c.mayAppend() {
		n := c.nextGroup()
		if n == 0 && len(c.queue) > 0 {
			c.reserve.need = int64(c.queue[0].batch.Records)
			return
		}
		c.flight = c.queue[:n:n]
		c.queue = c.queue[n:]
		c.taken += uint64(n)
		entry := c.assemble(now)
		c.sentence(&entry)
		if len(entry.Batches) == 0 && len(entry.Fences) == 0 && len(c.sentenced) == 0 {
			c.resolve(now, 0) // only duplicates of what is committed
			continue
		}
		c.flightData = messages.EncodeEntry(entry)
		c.appending = true
		c.fx.Append = &Append{Expected: c.last, Data: c.flightData}
	}
}

// sentence attaches the verdicts to the entry that rest on nothing later. An entry
// is of one frontend epoch, and tells of refusals of that one; who asked in an older
// epoch is not there any more.
func (c *Core) sentence(entry *messages.Entry) {
	if len(c.flight) == 0 {
		entry.Epoch, entry.SequencerEpoch = c.frontend, c.sequencer
	}
	n, size := 0, 0
	for n < len(c.verdicts) && c.verdicts[n].after <= c.taken && size < c.settings.EntryBytes/4 {
		v := &c.verdicts[n]
		if v.epoch > entry.Epoch {
			break
		}
		if v.logged && v.epoch == entry.Epoch {
			size += placeholderBytes + len(v.outcome.Lane)
			entry.Refused = append(entry.Refused, messages.LaneNumbers{Lane: v.outcome.Lane, Numbers: []uint64{v.outcome.Number}})
		}
		n++
	}
	c.sentenced, c.verdicts = c.verdicts[:n:n], c.verdicts[n:]
}

// nextGroup returns how many of the queue go into the next entry: none if the first
// batch takes more offsets than are reserved.
func (c *Core) nextGroup() int {
	n, size := 0, 0
	offset := c.nextOffset
	for n < len(c.queue) && n < c.settings.EntryItems && size < c.settings.EntryBytes {
		p := &c.queue[n]
		if n > 0 && (p.epoch != c.queue[0].epoch || p.sequencer != c.queue[0].sequencer) {
			break
		}
		if n > 0 && p.fence == nil && c.queue[n-1].fence != nil {
			break // in an entry the fences come last
		}
		if !p.duplicate && p.fence == nil {
			offset += int64(p.batch.Records)
		}
		if offset > c.reserve.Mark.Reserved.Offset {
			break
		}
		size += p.size()
		n++
	}
	return n
}

// assemble gives the batches in flight their offsets and returns their entry.
func (c *Core) assemble(now time.Time) messages.Entry {
	entry := messages.Entry{TopicID: c.partition.TopicID, BaseOffset: c.nextOffset}
	c.stamp(now, &entry)
	next := c.nextOffset
	entry.Batches = make([]messages.Placeholder, 0, len(c.flight))
	for i := range c.flight {
		p := &c.flight[i]
		entry.Epoch, entry.SequencerEpoch = p.epoch, p.sequencer
		if p.fence != nil {
			entry.Fences = append(entry.Fences, p.fence.LoggedFence)
		}
		if p.duplicate || p.fence != nil {
			continue
		}
		p.offset = next
		next += int64(p.batch.Records)
		entry.Batches = append(entry.Batches, p.batch.Placeholder())
	}
	return entry
}

// appended is told that the append under way is durable.
func (c *Core) appended(now time.Time, sequence uint64) {
	c.appending = false
	c.stamped()
	switch c.phase {
	case claiming:
		c.lead(now, sequence)
	case leading:
		c.stats.Entries++
		c.last = sequence
		c.resolve(now, sequence)
		c.acknowledged = c.end()
		c.reserve.active = now
	}
}

// resolve makes the flight part of the state and lets its answers go. Without
// a sequence nothing was appended.
func (c *Core) resolve(now time.Time, sequence uint64) {
	c.fx.Committed = slices.Grow(c.fx.Committed, len(c.flight))
	for i := range c.flight {
		p := &c.flight[i]
		if p.fence != nil {
			c.fenceCommitted(p)
			continue
		}
		if p.duplicate {
			p.offset = p.repeated()
			c.outcome(p.epoch, messages.Outcome{
				Ticket:    p.batch.Ticket,
				Offset:    p.offset,
				Duplicate: true,
			})
		} else {
			c.commit(now, p)
		}
		c.lanes.settle(p, c.frontend, now)
	}
	if sequence != 0 && len(c.flight) > 0 {
		c.send(messages.CommittedSubject(c.partition), messages.Committed{
			Partition: c.partition, Sequence: sequence, Entry: c.flightData,
		})
	}
	for _, v := range c.sentenced {
		c.outcome(v.epoch, v.outcome)
		if v.epoch == c.frontend {
			c.lanes.refuse(v.outcome.Lane, v.outcome.Number)
		}
	}
	c.flight, c.flightData, c.sentenced = nil, nil, nil
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
