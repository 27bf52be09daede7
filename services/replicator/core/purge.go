package core

import (
	"time"

	"laneway.dev/pkg/messages"
)

const (
	// purgeRetry is the pause after a purge that has failed.
	purgeRetry = 10 * time.Second
	// purgeBytes is how many bytes make a purge worth a request, see Settings.PurgeEntries.
	purgeBytes = 1 << 20
	// maxArchivedParts bounds what is remembered about the archived part of a log.
	maxArchivedParts = 64
)

// Purge asks for all entries below a sequence to be removed. The shell answers with
// Purged or PurgeFailed.
//
// The entries are not needed any more: segments hold them, and two snapshots that were read
// back cover them. The shell MUST NOT purge more.
type Purge struct{ Below uint64 }

// Purged reports that a purge is done.
type Purged struct{ Below uint64 }

// PurgeFailed reports that a purge may not be done.
type PurgeFailed struct{ Reason string }

// purges is the beginning of a log, as far as its owner has had entries purged. It does not
// know what earlier owners have done, so the first purge may remove nothing.
type purges struct {
	below    uint64         // the entries below it are purged, or were never there
	asked    uint64         // of the last Purge
	underWay bool           //
	after    time.Time      // when the next one may be asked for
	parts    []messages.Run // archived since, and not purged yet; in their order
}

// known notes that a log begins with this entry.
func (p *purges) known(first uint64) { p.below = first }

// archived notes a part of the log that may be purged once snapshots cover it.
func (p *purges) archived(part messages.Run) {
	if part.End.Sequence == 0 {
		return
	}
	if n := len(p.parts); n == maxArchivedParts {
		last := &p.parts[n-1]
		last.End, last.LogBytes = part.End, last.LogBytes+part.LogBytes
		return
	}
	p.parts = append(p.parts, part)
}

// forget drops what was read from a log.
func (p *purges) forget() { p.below, p.parts = 0, nil }

// logBytes returns the bytes of the archived entries in the log below a sequence.
func (p *purges) logBytes(below uint64) (total int64) {
	for i := range p.parts {
		if p.parts[i].End.Sequence < below {
			total += p.parts[i].LogBytes
		}
	}
	return total
}

// worth reports whether enough entries or bytes are in the log from one sequence to another.
func (p *purges) worth(from, to, entries uint64) bool {
	return to >= from+entries || p.logBytes(to) >= purgeBytes
}

// purgeable returns the sequence below which nothing is needed any more; 0 if there is none.
// The last entry that the older snapshot covers stays, because a recovery compares the two.
func (c *Core) purgeable() uint64 {
	history := c.partition.History()
	if !history.Archived() {
		return 0
	}
	return min(c.snapshots.older, history.End.Sequence+1)
}

// purge asks for a purge if it is worth it.
func (c *Core) purge(now time.Time) {
	p, below := &c.purges, c.purgeable()
	if p.underWay || below <= p.below || now.Before(p.after) {
		return
	}
	if !p.worth(p.below, below, c.settings.PurgeEntries) && !c.idle(now) {
		return
	}
	p.underWay, p.asked = true, below
	c.fx.Purge = &Purge{Below: below}
}

// purged notes that a purge has ended.
func (c *Core) purged(e Purged) {
	p := &c.purges
	p.underWay = false
	p.below = max(p.below, e.Below)
	n := 0
	for n < len(p.parts) && p.parts[n].End.Sequence < p.below {
		c.stats.PurgedBytes += uint64(p.parts[n].LogBytes)
		n++
	}
	p.parts = p.parts[n:]
}

func (c *Core) purgeFailed(now time.Time, e PurgeFailed) {
	c.purges.underWay, c.purges.after = false, now.Add(purgeRetry)
	c.partition.WarnArchiving(now, "archived entries of the log could not be purged, so they stay in it; trying again: "+e.Reason)
}

// idle reports whether nothing was appended for a while.
func (c *Core) idle(now time.Time) bool {
	return !c.appending && !c.waiting() && now.Sub(c.reserve.active) >= idleTime
}
