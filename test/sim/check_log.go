package sim

import (
	"math"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/test/sim/describe"
)

// committed checks an entry that has come into the log, and who appended it.
func (c *checks) committed(e *messages.LoggedEntry, by string) {
	n := &e.Entry
	c.sequence++
	if e.Sequence != c.sequence {
		c.w.violated("log: entry %d follows entry %d", e.Sequence, c.sequence-1)
	}
	if n.BaseOffset-n.Gap != c.nextOffset || n.Gap > 0 && n.Owner == "" {
		c.w.violated("I6: entry %d begins at offset %d behind a gap of %d, the one before ends at %d", e.Sequence, n.BaseOffset, n.Gap, c.nextOffset)
	}
	if n.Gap > 0 {
		c.w.counts.Gaps++
	}
	c.nextOffset = n.BaseOffset
	if end := (messages.Position{Sequence: e.Sequence, Offset: n.NextOffset()}); !c.w.mark.Mark.Reserved.Covers(end) {
		c.w.violated("mark: entry %d ends at offset %d, reserved is %+v", e.Sequence, end.Offset, c.w.mark.Mark.Reserved)
	}
	if n.Time < c.time && n.RisingFrom != e.Sequence {
		c.w.violated("log: entry %d is %s older than the one before", e.Sequence, time.Duration(c.time-n.Time))
	}
	c.time, c.newest = n.Time, n.BaseOffset
	switch {
	case n.Owner != "":
		c.owner = n.Owner
		c.w.counts.Terms++
		return
	case by != c.owner:
		c.w.violated("I8: entry %d of %s is committed behind the term record of %s", e.Sequence, by, c.owner)
	}
	if n.Epoch < c.frontend || n.SequencerEpoch < c.sequencer {
		c.w.violated("I1: entry %d is of epochs %d, %d behind %d, %d", e.Sequence, n.Epoch, n.SequencerEpoch, c.frontend, c.sequencer)
	}
	c.frontend, c.sequencer = n.Epoch, n.SequencerEpoch
	if len(n.Batches) == 0 && len(n.Fences) == 0 {
		c.w.counts.Barriers++
	}
	for i := range n.Batches {
		c.mayAppend(by, ticket{laneKey{n.Epoch, n.Batches[i].Lane}, n.Batches[i].Number})
		c.batch(e, &n.Batches[i])
	}
	for _, f := range n.Fences {
		c.w.counts.Fences++
		c.epochs[f.ProducerID] = max(c.epochs[f.ProducerID], f.ProducerEpoch)
		if f.Continues != 0 {
			c.epochs[f.Continues] = math.MaxInt16
		}
	}
}

func (c *checks) batch(e *messages.LoggedEntry, b *messages.Placeholder) {
	t := ticket{laneKey{e.Entry.Epoch, b.Lane}, b.Number}
	c.ticketLogged(t, b.Floor)
	key, durable := c.w.store.payloads[b.Extent]
	if !durable {
		c.w.violated("durability: entry %d refers to %s, which is not stored", e.Sequence, b.Extent.Key)
		return
	}
	if i := c.issues[t]; i != nil && i.key != key {
		c.w.violated("I6: entry %d has %s with the payload of another one", e.Sequence, t)
	}
	if b.Sequence.ProducerID != 0 {
		c.sequenceLogged(e, b, key)
	}
	if int(b.Records) != key.records {
		c.w.violated("I6: entry %d tells of %d records where %d are", e.Sequence, b.Records, key.records)
	}
	for n := range key.records {
		record := recordKey{key.client, key.first + n}
		if at, there := c.places[record]; there {
			c.w.violated("I6: record %d of client %d is at offset %d, and comes to %d", record.record, record.client, at, c.nextOffset)
		}
		c.places[record] = c.nextOffset
		c.nextOffset++
	}
	c.lastID = b.MessageID
}

// sequenceLogged checks that the records of a producer's source come one after the
// other, and none of an instance that was fenced.
func (c *checks) sequenceLogged(e *messages.LoggedEntry, b *messages.Placeholder, key batchKey) {
	s := b.Sequence
	if s.Last(b.Records) < s.First {
		c.w.counts.Wraps++
	}
	if s.ProducerEpoch < c.epochs[s.ProducerID] {
		c.w.violated("fencing: entry %d is of epoch %d of producer %d behind %d", e.Sequence, s.ProducerEpoch, s.ProducerID, c.epochs[s.ProducerID])
	}
	c.epochs[s.ProducerID] = s.ProducerEpoch
	life := lifeKey{s.ProducerID, s.ProducerEpoch, recordKey{key.client, key.first}}
	if c.absent[life] {
		c.w.violated("I6: %s comes into the log, its client was told that it never would", life)
	}
	c.lives[life] = true
	if next := c.sources[key.client]; key.first != next {
		c.w.violated("I6: entry %d has records %d to %d of client %d, record %d comes next",
			e.Sequence, key.first, key.first+key.records-1, key.client, next)
	}
	c.sources[key.client] = key.first + key.records
}

// ticketLogged checks the order of the lane that a batch belongs to.
func (c *checks) ticketLogged(t ticket, floor uint64) {
	lane := c.lanes[t.laneKey]
	if lane == nil {
		lane = &laneLog{at: c.w.now}
		c.lanes[t.laneKey] = lane
	}
	switch {
	case t.number <= lane.last:
		c.w.violated("I1: %s comes into the log behind %d", t, lane.last)
	case t.number < lane.floor:
		c.w.violated("I1: %s comes into the log behind a floor of %d: it was resolved", t, lane.floor)
	}
	c.evictions[t.epoch] = c.evictions[t.epoch] || c.idle(lane)
	lane.at = c.w.now
	lane.last, lane.floor = t.number, max(lane.floor, floor)
	i := c.issues[t]
	if i == nil {
		c.w.violated("I1: %s comes into the log, and was never issued", t)
		return
	}
	if i.never != nil {
		c.w.violated("I3: %s comes into the log, its producer was told that it never would: %s", t, describe.Code(*i.never))
	}
	if x := i.expect; x.HasSequence && x.Sequence != uint64(c.nextOffset) {
		c.w.violated("expectation: %s comes to offset %d, and expects %d", t, c.nextOffset, x.Sequence)
	}
	if x := i.expect; x.MessageID != "" && x.MessageID != c.lastID {
		c.w.violated("expectation: %s comes behind message id %q, and expects %q", t, c.lastID, x.MessageID)
	}
	i.logged, i.offset = true, c.nextOffset
	c.skipped(i)
}

// skipped checks that what a batch overtakes on its lane is resolved. What repeats
// a message id, or did not find what it expected, leaves no trace in the log; nor
// does what is out of sequence, but the sequences are dense. An owner that has forgotten a lane
// refuses the numbers that may be in the log, and takes the ones above, so that a
// refusal may still be on its way.
func (c *checks) skipped(by *issue) {
	if !by.plain || c.forgetful(by.epoch) {
		return
	}
	for _, i := range c.open[by.laneKey] {
		if i.number < by.number && !i.logged && !i.answered && i.messageID == "" && !i.refused {
			c.w.violated("I2: %s is skipped: %d comes into the log, and it is not resolved", i.ticket, by.number)
		}
	}
}

// idle says whether a lane may count as idle for an owner, whose clock need not be
// that of the one before.
func (c *checks) idle(lane *laneLog) bool {
	return c.w.now.Sub(lane.at) >= laneExpiry-2*c.w.config.Mix.Skew
}

// forgetful says whether an owner may have forgotten a lane of a frontend epoch.
func (c *checks) forgetful(epoch uint64) bool {
	for of, lane := range c.lanes {
		if of.epoch == epoch && c.idle(lane) {
			c.evictions[epoch] = true
		}
	}
	return c.evictions[epoch] || c.w.config.Mix.MaxLanes > 0
}
