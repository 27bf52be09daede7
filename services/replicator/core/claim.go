package core

import (
	"time"

	"laneway.dev/pkg/messages"
)

// claimLog appends the term record. Its base offset is above every offset that an earlier
// owner may have used; Gap is the number of offsets that it leaves out. If another entry is
// appended first, the claim fails and the log is read again.
func (c *Core) claimLog(now time.Time) {
	c.phase = claiming
	next := c.partition.NextOffset()
	c.startOffset = max(next, c.reserve.resume)
	c.append(now, messages.Entry{
		TopicID: c.id.TopicID, Owner: c.settings.Owner, OwnerEpoch: c.settings.Epoch, BaseOffset: c.startOffset, Gap: c.startOffset - next,
	})
}

// lead starts a term. The term record is durable, so every append of an older owner that
// arrives later is rejected: it expects a lower last sequence.
func (c *Core) lead(now time.Time, sequence uint64) {
	c.phase = leading
	c.term, c.last = sequence, sequence
	if end := c.partition.NextOffset(); c.startOffset > end {
		c.fx.Gap = &Gap{From: end, To: c.startOffset}
		c.stats.Gap += c.startOffset - end
	}
	c.partition.Lead(now, c.startOffset)
	c.appendedHistory()
	c.acknowledged = c.end()
	c.reserve.active = now
	c.helloAnswered, c.helloAt = false, time.Time{}
	c.stats.Terms++
	// Entries that were found by reading were not announced. The announced term record shows
	// followers that there is something to read before it.
	c.announce(sequence)
}
