package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/partition"
)

// rollBack gives up everything that is not known to be in the log. What was in
// flight may have landed, or may still land: reading up to a term record of its
// own settles it.
func (c *Core) rollBack() {
	c.phase, c.asked = reading, false
	c.appending, c.flightData = false, nil
	c.partition.RollBack()
}

// logRead applies entries. An entry is never judged again: the log is right.
func (c *Core) logRead(now time.Time, r LogRead) {
	c.asked = false
	if c.phase != reading {
		return
	}
	if r.Deleted {
		c.readAfter = deletedPause
		return
	}
	if !r.empty() {
		c.emptySince = time.Time{}
	} else if c.isNew(now) {
		c.readAfter = newLogPause
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
			c.takeEpoch(fenced)
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
			c.takeEpoch(fenced)
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

// A topic's record is there a moment before its logs are. Until newLogTime has passed, a log
// without entries is read again after newLogPause.
const (
	newLogTime  = 2 * time.Second
	newLogPause = 5 * time.Millisecond
)

// empty reports whether there is no log, or one without any entry.
func (r *LogRead) empty() bool {
	return r.Gone || r.AtEnd && r.Last == 0 && len(r.Entries) == 0
}

// isNew reports whether a log without entries may be one that is still being created.
func (c *Core) isNew(now time.Time) bool {
	if c.emptySince.IsZero() {
		c.emptySince = now
	}
	return now.Sub(c.emptySince) < newLogTime
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
	next := c.partition.NextOffset()
	c.startedAt = max(next, c.reserve.resume)
	c.partition.Expire(now)
	c.append(now, messages.Entry{
		TopicID: c.id.TopicID, Owner: c.settings.Owner, OwnerEpoch: c.settings.Epoch, BaseOffset: c.startedAt, Gap: c.startedAt - next,
	})
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
	c.partition.Advance(at)
	if n.Owner != "" {
		c.partition.Continue(n.BaseOffset)
		if n.Owner != c.settings.Owner && c.reserve.own {
			c.reserve.moved = true // who has claimed the log has written the mark before
		}
		return fencedBy(n.Owner, n.OwnerEpoch, c.settings)
	}
	c.epochs.Sequencer = max(c.epochs.Sequencer, n.SequencerEpoch)
	c.newFrontend(n.Epoch)
	c.partition.Apply(at, c.epochs.Frontend, partition.Section{
		Epochs:     partition.Epochs{Frontend: n.Epoch, Sequencer: n.SequencerEpoch},
		BaseOffset: n.BaseOffset, Batches: n.Batches, Fences: n.Fences, Refused: n.Refused,
	})
	return 0
}

// lead starts a term: the term record is durable, so no append of an older
// owner can land any more.
func (c *Core) lead(now time.Time, sequence uint64) {
	c.phase = leading
	c.term, c.last = sequence, sequence
	if end := c.partition.NextOffset(); c.startedAt > end {
		c.fx.Gap = &Gap{From: end, To: c.startedAt}
		c.stats.Gap += c.startedAt - end
	}
	c.partition.Lead(now, c.startedAt)
	c.acknowledged = c.end()
	c.reserve.active = now
	c.answered, c.helloAt = false, time.Time{}
	c.stats.Terms++
	// What was settled by reading has not been announced: show readers the end.
	c.announce(sequence)
}
