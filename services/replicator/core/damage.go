package core

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
)

const (
	// readOnlyEvery is how often frontends receive that a partition is read-only.
	readOnlyEvery = time.Second
	// recheckEvery is the pause before a damaged log is read again: its data may have been
	// restored.
	recheckEvery = 10 * time.Second
	// creationTime is how long a new log may be empty: its first entry and its mark are
	// written shortly after its journal is created.
	creationTime = 10 * time.Second
)

// sealed describes a log that takes no more appends.
const sealed = "its log is sealed: its loss is being accepted, or an --accept-loss was interrupted and must be given again"

// damage describes a log that has lost entries.
type damage struct {
	what       string    // for operators; empty if nothing is lost
	unbegun    bool      // nothing shows that the log ever had an entry
	since      time.Time // when the log was last read, or first found empty
	reportedAt time.Time // when the frontends last received it
}

// shorter compares the end of the log with all evidence of how far it once reached, and
// returns what was lost; empty if there is no evidence of a loss. The evidence is logEnd,
// the last sequence of the log; the written position of the mark; the acknowledged
// appends of this core; and the result of a scrub.
func (c *Core) shorter(logEnd uint64) string {
	end, mark := c.end(), c.reserve.Mark.Written
	switch {
	case logEnd > c.last:
		return fmt.Sprintf("the last entry of its log is %d, and its entries from %d on cannot be read", logEnd, c.last+1)
	case c.reserve.Exists && !end.Covers(mark):
		return fmt.Sprintf("its log ends with entry %d at offset %d, and once had entry %d and ended at offset %d at least",
			end.Sequence, end.Offset, mark.Sequence, mark.Offset)
	case !end.Covers(c.acknowledged):
		return fmt.Sprintf("its log ends with entry %d at offset %d, and the append of entry %d up to offset %d was acknowledged",
			end.Sequence, end.Offset, c.acknowledged.Sequence, c.acknowledged.Offset)
	}
	return c.scrubs.damage
}

// unprovenEnd returns why entries may have followed the end of a log in groups of its journal that are
// lost; empty if there were none. The mark proves that if it reserves nothing beyond the end.
func (c *Core) unprovenEnd() string {
	end := c.end()
	if c.reserve.Exists && end.Covers(c.reserve.Mark.Reserved) {
		return ""
	}
	return fmt.Sprintf("groups of its journal are lost, and may have had entries of its log after entry %d, which ends at offset %d", end.Sequence, end.Offset)
}

// missingBefore returns what is missing before an entry that was read; empty if the entry
// directly follows the last one. Sequences alone do not show a loss if a stream was
// restored from an older copy and continued, so the offsets must be continuous as well.
func (c *Core) missingBefore(e *LoggedEntry) string {
	switch {
	case c.last == 0 && e.Entry.Created:
		return "" // the entry marks the beginning of the log
	case c.last == 0:
		return c.withoutBeginning(e.Sequence)
	case c.last != 0 && e.Sequence != c.last+1:
		return fmt.Sprintf("its log has lost the entries %d to %d", c.last+1, e.Sequence-1)
	case e.Entry.BaseOffset-e.Entry.Gap != c.partition.NextOffset():
		return fmt.Sprintf("entry %d of its log continues at offset %d, but the entry before it ends at %d",
			e.Sequence, e.Entry.BaseOffset-e.Entry.Gap, c.partition.NextOffset())
	}
	return ""
}

// withoutBeginning describes a log that does not begin with its Created entry. Its beginning
// may have been purged, so only a snapshot could replace it.
func (c *Core) withoutBeginning(first uint64) string {
	what := fmt.Sprintf("its log was purged up to entry %d, or has lost its beginning, and none of its snapshots can be read", first-1)
	if c.trouble != "" {
		what += ": " + c.trouble
	}
	return what
}

// patience returns how long a log may lack entries before it counts as damaged. If the
// snapshots could not be looked for, they may be found later.
func (c *Core) patience() time.Duration {
	if c.trouble != "" {
		return max(c.settings.Patience, creationTime)
	}
	return c.settings.Patience
}

// overtakenByPurge starts over if the entries that would have to be read next may just have
// been purged: an owner that is still running does that once it has stored newer snapshots.
// Those are tried next. Without newer ones the log is damaged, and overtakenByPurge returns
// false.
//
// Example: this core has loaded the snapshot of entry 400. The owner that it replaces stores
// snapshots of 500 and 600, and purges the entries below 500. The core finds 500 where it
// expects 400, and loads the snapshot of 600.
func (c *Core) overtakenByPurge(entries []LoggedEntry) bool {
	archives := c.settings.ArchiveBytes > 0 || c.partition.History().Archived()
	hole := len(entries) > 0 && entries[0].Sequence > c.readFrom()
	if !archives || !hole || c.overtaken > c.stats.Covered {
		return false
	}
	c.overtaken = c.stats.Covered + 1
	c.startOver()
	return true
}

// snapshotConflict returns how the log contradicts the snapshot that the core has started
// from; empty if it does not. r starts with the last entry that the snapshot covers. If its
// sequence, end and time are those of the snapshot, the entries before it are the same, too.
func (c *Core) snapshotConflict(r *LogRead) string {
	if len(r.Entries) == 0 {
		return fmt.Sprintf("the newest snapshot covers its log up to entry %d and offset %d, and that entry cannot be read; the last one is %d",
			c.last, c.partition.NextOffset(), r.Last)
	}
	if e := &r.Entries[0]; e.Sequence > c.last {
		return fmt.Sprintf("the newest snapshot covers its log up to entry %d and offset %d, and the log was purged up to entry %d, or has lost the entries before that",
			c.last, c.partition.NextOffset(), e.Sequence-1)
	} else if e.Sequence != c.last || e.Entry.NextOffset() != c.partition.NextOffset() || e.Entry.Time != c.lastTime {
		return fmt.Sprintf("the newest snapshot covers its log up to entry %d and offset %d, and the log has another entry there: %d, which ends at offset %d",
			c.last, c.partition.NextOffset(), e.Sequence, e.Entry.NextOffset())
	}
	return ""
}

// damaged makes the partition read-only once the log has looked damaged for Patience. Until
// then the entries may only be missing on a replica that lags. The log is read again.
func (c *Core) damaged(now time.Time, what string) { c.suspect(now, what, c.settings.Patience) }

// suspect makes the partition read-only if the log has looked damaged for longer than
// patience. Until then the log is read again every Heartbeat.
func (c *Core) suspect(now time.Time, what string, patience time.Duration) {
	c.rollBack()
	c.damage.since, c.damage.unbegun = now, false
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

// withoutEntries handles a log that does not exist, or is empty. Without a mark or a snapshot, nothing
// shows that it ever had an entry: who creates its topic may be slow or frozen, and then producers can
// succeed later. An operator has to know of it all the same, because the creation may have been interrupted,
// and the evidence may be lost together with the log.
func (c *Core) withoutEntries(now time.Time, what string) {
	evidence := c.reserve.Exists || c.last > 0 || c.acknowledged.Sequence > 0
	if !evidence {
		what += "; or the creation of the topic takes long, or was interrupted: if the topic is new, delete it and create it again"
	}
	c.suspect(now, what, creationTime)
	c.damage.unbegun = !evidence
}

// recheck reads a damaged or suspect log again when it is due.
func (c *Core) recheck(now time.Time) {
	after := recheckEvery
	if c.phase == suspecting {
		after = c.settings.Heartbeat
	}
	if now.Sub(c.damage.since) >= after {
		c.startOver()
	}
}

// reportReadOnly sends the damage to the frontends every readOnlyEvery. They refuse produce
// requests with it; a frontend that starts later gets it as well.
func (c *Core) reportReadOnly(now time.Time) {
	if c.damage.what == "" || now.Sub(c.damage.reportedAt) < readOnlyEvery {
		return
	}
	c.damage.reportedAt = now
	c.send(messages.CommittedSubject(c.id), messages.ReadOnly{Partition: c.id, Damage: c.damage.what, Unbegun: c.damage.unbegun})
}

// startOver drops all state and recovers again from mark, snapshot and log. It keeps what
// was acknowledged to this core, because the log must still have that.
func (c *Core) startOver() {
	c.rollBack()
	c.forget()
	c.phase = loading
	c.rescan = false
	c.reserve = reserve{resume: c.reserve.resume}
}
