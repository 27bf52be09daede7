package replicator

import (
	"maps"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
)

// rollBack gives up everything that is not known to be in the log. What was in
// flight may have landed, or may still land: reading up to a term record of its
// own settles it.
func (c *Core) rollBack() {
	c.phase, c.asked = reading, false
	c.queue, c.flight, c.flightData, c.verdicts, c.sentenced = nil, nil, nil, nil, nil
	c.appending = false
	c.taken = c.accepted
	c.lanes.rollBack()
	c.ids.rollBack()
	c.producers.RollBack()
}

// logRead applies entries. An entry is never judged again: the log is right.
func (c *Core) logRead(now time.Time, r LogRead) {
	c.asked = false
	if c.phase != reading {
		return
	}
	if r.Gone {
		c.suspect(now, "JetStream does not have the stream of its log: its files were deleted, or could not be restored, as the log of NATS says", creationTime)
		return
	}
	if len(r.Entries) == 0 && !r.AtEnd && r.Corrupt == "" {
		return // of a replica that lags
	}
	if c.unproven != nil {
		if what := c.disproves(&r); what != "" {
			c.damaged(now, what)
			return
		}
		fenced := fencedBy(c.unproven.Owner, c.unproven.OwnerEpoch, c.settings)
		c.unproven = nil
		if fenced != 0 {
			c.stopAt(fenced)
			return
		}
		c.risingFrom = r.Entries[0].Entry.RisingFrom
		r.Entries = r.Entries[1:]
	}
	c.stats.Replayed += uint64(len(r.Entries))
	for i := range r.Entries {
		if what := c.misses(&r.Entries[i]); what != "" {
			c.damaged(now, what)
			return
		}
		if fenced := c.apply(now, &r.Entries[i]); fenced != 0 {
			c.stopAt(fenced)
			return
		}
	}
	switch {
	case r.Corrupt != "":
		c.damaged(now, r.Corrupt)
	case r.AtEnd:
		c.foundEnd(now, &r)
	}
}

// foundEnd goes on from the end of the log, unless the log was longer once.
func (c *Core) foundEnd(now time.Time, r *LogRead) {
	what := c.shorter(r.Last)
	switch {
	case r.Last < c.last:
		c.startOver() // it has lost what this owner knows of
	case r.Sealed:
		c.suspect(now, sealed, 0)
	case what != "":
		c.damaged(now, what)
	case c.last == 0:
		c.suspect(now, "its log is empty: the creation of the topic was interrupted, or the log has lost everything; "+
			"if the topic is new, delete it and create it again", creationTime)
	default:
		c.damage, c.suspectSince = damage{}, time.Time{}
		c.resumeBehind(c.end())
		c.phase = reserving
	}
}

// claimLog appends the term record. It begins behind everything that may have been given out.
func (c *Core) claimLog(now time.Time) {
	c.phase = claiming
	base := max(c.nextOffset, c.reserve.resume)
	entry := messages.Entry{
		TopicID: c.partition.TopicID, Owner: c.settings.Owner, OwnerEpoch: c.settings.Epoch, BaseOffset: base, Gap: base - c.nextOffset,
	}
	c.stamp(now, &entry)
	c.startedAt = base
	c.flightData = messages.EncodeEntry(entry)
	c.appending = true
	c.fx.Append = &Append{Expected: c.last, Data: c.flightData}
	c.ids.expire(now)
}

// stopAt ends the core because of an epoch that fences it.
func (c *Core) stopAt(fenced uint64) {
	c.phase = stopped
	c.fx.Fenced = fenced
}

// fencedBy returns the epoch that a core must get above before it may claim a log that
// had this owner, as a term record or a snapshot tells; 0 if it may claim it as it is. A
// lower epoch is claimed from, wherever it stands: an older owner may have woken up. An
// equal epoch of another owner was given twice, because the bucket of epochs was lost or
// restored.
func fencedBy(owner string, epoch uint64, own Settings) uint64 {
	if epoch < own.Epoch || epoch == own.Epoch && owner == own.Owner {
		return 0
	}
	return epoch
}

// apply makes one entry of the log part of the state. It returns the epoch that
// fences this core, or 0.
func (c *Core) apply(now time.Time, e *LoggedEntry) (fenced uint64) {
	n := &e.Entry
	c.last, c.lastTime, c.risingFrom = e.Sequence, n.Time, n.RisingFrom
	at := n.At()
	if at.After(now) {
		at = now // an earlier owner's clock was ahead; what it remembered must expire all the same
	}
	c.producers.Advance(at)
	c.nextOffset = n.BaseOffset
	if n.Owner != "" {
		if n.Owner != c.settings.Owner && c.reserve.own {
			c.reserve.moved = true // who has claimed the log has written the mark before
		}
		return fencedBy(n.Owner, n.OwnerEpoch, c.settings)
	}
	c.sequencer = max(c.sequencer, n.SequencerEpoch)
	c.newFrontend(n.Epoch)
	c.lanes.evict(at.Add(-c.settings.LaneExpiry))
	c.producers.Evict()
	offset := n.BaseOffset
	for i := range n.Batches {
		p := pending{batch: messages.StagedBatch{Submission: messages.Submission{Batch: n.Batches[i].Batch}, Extent: n.Batches[i].Extent}, epoch: n.Epoch, offset: offset}
		offset += int64(p.batch.Records)
		c.applyBatch(&p, at)
	}
	for _, f := range n.Fences {
		c.producers.ApplyFence(f)
	}
	if n.Epoch == c.frontend {
		c.lanes.refused(n.Refused, c.settings, at)
	}
	c.nextOffset = n.NextOffset()
	return 0
}

func (c *Core) applyBatch(p *pending, at time.Time) {
	b := &p.batch
	if p.epoch == c.frontend {
		c.lanes.of(b.Lane).raise(b.Floor)
		c.lanes.settle(p, c.frontend, at)
	}
	c.lastID = b.MessageID
	switch {
	case b.Sequence.ProducerID != 0:
		c.producers.ApplyBatch(b.Sequence, b.Records, p.offset)
	case b.MessageID != "":
		c.ids.commit(b.MessageID, &firstUse{}, p.offset, at)
	}
}

// lead starts a term: the term record is durable, so no append of an older
// owner can land any more.
func (c *Core) lead(now time.Time, sequence uint64) {
	c.phase = leading
	c.term, c.last = sequence, sequence
	if c.startedAt > c.nextOffset {
		c.fx.Gap = &Gap{From: c.nextOffset, To: c.startedAt}
		c.stats.Gap += c.startedAt - c.nextOffset
	}
	c.nextOffset = c.startedAt
	c.acknowledged = c.end()
	c.reserve.active = now
	c.tail = tail{c.nextOffset, c.lastID}
	c.answered, c.helloAt = false, time.Time{}
	c.lanes.touch(now)
	c.stats.Terms++
	// What was settled by reading has not been announced: show readers the end.
	c.send(messages.CommittedSubject(c.partition), messages.Committed{
		Partition: c.partition, Sequence: sequence, Entry: c.flightData,
	})
	c.flightData = nil
}

func (c *Core) send(subject string, m messages.Message) {
	c.fx.Send = append(c.fx.Send, messages.Envelope{Subject: subject, Message: m})
}

// itemsPerMessage bounds a message.
const itemsPerMessage = 2000

// flush turns outcomes and questions into one message per destination.
func (c *Core) flush() {
	for _, epoch := range slices.Sorted(maps.Keys(c.outs)) {
		for part := range slices.Chunk(c.outs[epoch], itemsPerMessage) {
			c.send(messages.FrontendSubject(epoch), messages.Outcomes{
				Partition: c.partition, Epoch: epoch, Outcomes: part,
			})
		}
	}
	clear(c.outs)
	if c.fenced {
		c.send(messages.SequencerSubject(c.partition), messages.Fenced{Partition: c.partition, Epoch: c.sequencer})
		c.fenced = false
	}
	for _, epoch := range slices.Sorted(maps.Keys(c.stale)) {
		c.send(messages.FrontendSubject(epoch), messages.Fenced{Partition: c.partition, Epoch: c.frontend})
	}
	clear(c.stale)
	var lanes []messages.LaneNumbers
	for _, name := range slices.Sorted(maps.Keys(c.asks)) {
		lanes = append(lanes, messages.LaneNumbers{Lane: name, Numbers: []uint64{c.asks[name]}})
	}
	clear(c.asks)
	for part := range slices.Chunk(lanes, itemsPerMessage) {
		c.send(messages.SequencerSubject(c.partition), messages.ReleaseAgain{
			Partition: c.partition, Epoch: c.frontend, Lanes: part,
		})
	}
}
