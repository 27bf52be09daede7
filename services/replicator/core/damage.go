package core

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
)

const (
	// readOnlyEvery is how often frontends are told that a partition is read-only.
	readOnlyEvery = time.Second
	// lookAgain is after what time a damaged log is read again: its data may have been
	// restored meanwhile.
	lookAgain = 10 * time.Second
	// creationTime is how long a log may be empty that has just been created: its first
	// entry and its mark come a moment later.
	creationTime = 10 * time.Second
)

// sealed says what is wrong with a log that takes no appends any more.
const sealed = "the stream of its log is sealed: its loss is being accepted, or an --accept-loss was interrupted and must be given again"

// damage is what a core knows of a log that has lost entries.
type damage struct {
	what  string    // for people; empty is none
	since time.Time // when the log was last read, or first seen empty
	told  time.Time // when the frontends were last told
}

// shorter compares where the log ends with all evidence of how far it came, and returns
// what has been lost; empty if nothing has, as far as is known. streamEnd is the last
// sequence of its stream.
func (c *Core) shorter(streamEnd uint64) string {
	end, mark := c.end(), c.reserve.Mark.Written
	switch {
	case streamEnd > c.last:
		return fmt.Sprintf("the last entry of its log is %d, and its entries from %d on cannot be read", streamEnd, c.last+1)
	case c.reserve.Exists && !end.Covers(mark):
		return fmt.Sprintf("its log ends with entry %d at offset %d, and once had entry %d and ended at offset %d at least",
			end.Sequence, end.Offset, mark.Sequence, mark.Offset)
	case !end.Covers(c.acknowledged):
		return fmt.Sprintf("its log ends with entry %d at offset %d, and the append of entry %d up to offset %d was acknowledged",
			end.Sequence, end.Offset, c.acknowledged.Sequence, c.acknowledged.Offset)
	}
	return c.scrubbed
}

// misses returns what is missing before an entry of the log, as it is read; empty if it
// is the next one.
func (c *Core) misses(e *LoggedEntry) string {
	switch {
	case c.last == 0 && e.Entry.Created:
		return "" // it says where the log begins
	case c.last == 0:
		return fmt.Sprintf("its log has lost its beginning: the first entry that can be read is %d", e.Sequence)
	case c.last != 0 && e.Sequence != c.last+1:
		return fmt.Sprintf("its log has lost the entries %d to %d", c.last+1, e.Sequence-1)
	case e.Entry.BaseOffset-e.Entry.Gap != c.partition.NextOffset():
		return fmt.Sprintf("entry %d of its log goes on behind offset %d, the entry before ends at %d",
			e.Sequence, e.Entry.BaseOffset-e.Entry.Gap, c.partition.NextOffset())
	}
	return ""
}

// disproves returns how the log contradicts the snapshot that the core has started from,
// given what was read from the snapshot's last entry on; empty if it does not.
func (c *Core) disproves(r *LogRead) string {
	if len(r.Entries) == 0 {
		return fmt.Sprintf("the newest snapshot covers its log up to entry %d and offset %d, and that entry cannot be read; the last one is %d",
			c.last, c.partition.NextOffset(), r.Last)
	}
	if e := &r.Entries[0]; e.Sequence != c.last || e.Entry.NextOffset() != c.partition.NextOffset() || e.Entry.Time != c.lastTime {
		return fmt.Sprintf("the newest snapshot covers its log up to entry %d and offset %d, and the log has another entry there: %d, which ends at offset %d",
			c.last, c.partition.NextOffset(), e.Sequence, e.Entry.NextOffset())
	}
	return ""
}

// damaged makes the partition read-only, unless a replica may just be behind. The log is
// read again after a while.
func (c *Core) damaged(now time.Time, what string) { c.suspect(now, what, c.settings.Patience) }

// suspect calls the log damaged once it has looked so for long enough.
func (c *Core) suspect(now time.Time, what string, patience time.Duration) {
	c.rollBack()
	c.damage.since = now
	if c.suspectSince.IsZero() {
		c.suspectSince = now
	}
	if now.Sub(c.suspectSince) < patience {
		c.phase = suspecting
		return
	}
	c.phase = damagedPhase
	if c.damage.what != what {
		c.fx.Damage = what
	}
	c.damage.what = what
}

// lookAgain reads a damaged or suspect log once more when it is time, and tells frontends
// meanwhile that the partition is read-only.
func (c *Core) lookAgain(now time.Time) {
	after := lookAgain
	if c.phase == suspecting {
		after = c.settings.Heartbeat
	}
	if now.Sub(c.damage.since) >= after {
		c.startOver()
	}
}

// tellReadOnly tells the frontends what is wrong, for as long as it is.
func (c *Core) tellReadOnly(now time.Time) {
	if c.damage.what == "" || now.Sub(c.damage.told) < readOnlyEvery {
		return
	}
	c.damage.told = now
	c.send(messages.CommittedSubject(c.id), messages.ReadOnly{Partition: c.id, Damage: c.damage.what})
}

// startOver forgets everything but what was acknowledged to this owner, and looks again
// for mark, snapshot and log.
func (c *Core) startOver() {
	c.rollBack()
	c.forget()
	c.phase = loading
	c.rescan = false
	c.reserve = reserve{resume: c.reserve.resume}
}
