package core

import "time"

// scrubRetry is the pause before a log is scrubbed again after it could not be read or had
// lost entries.
const scrubRetry = 10 * time.Second

// Scrub asks for the entries from one sequence to another to be checked. Recovery does
// not read them, because a snapshot covers them, and JetStream finds damage only when it
// reads. The shell answers with Scrubbed.
type Scrub struct {
	From, To uint64
	After    time.Duration // pause before it
}

// Scrubbed answers a Scrub.
type Scrubbed struct {
	Damage string // what is wrong with the entries; empty if they are intact
	Failed bool   // they could not be read; Damage is not valid
}

// scrubs is the check of the entries that recovery did not read.
type scrubs struct {
	begun  bool   // the first Scrub was requested, or none is needed
	from   uint64 // of the last Scrub; it never falls
	to     uint64
	damage string // what is wrong with the entries
}

// scrub starts the check of the entries that recovery did not read. It runs once per core,
// and again after scrubRetry until it finds no damage.
func (c *Core) scrub() {
	if c.scrubs.begun {
		return
	}
	c.scrubs.begun, c.scrubs.to = true, c.stats.Covered
	c.startScrub(0)
}

// startScrub asks for a check of the entries that are not archived. Those before them may be
// purged.
func (c *Core) startScrub(after time.Duration) {
	s := &c.scrubs
	if s.from = max(s.from, c.partition.History().End.Sequence+1); s.from <= s.to {
		c.fx.Scrub = &Scrub{From: s.from, To: s.to, After: after}
	}
}

// scrubDone records the result of a scrub. If it differs from the last one, the log is read
// again, which makes the partition read-only or writable. A scrub that found entries missing
// which were purged at the same time has found nothing.
func (c *Core) scrubDone(e Scrubbed) {
	s := &c.scrubs
	purged := e.Damage != "" && c.purges.asked > s.from
	if !e.Failed && !purged {
		c.rescan = c.rescan || s.damage != e.Damage
		s.damage = e.Damage
	}
	if e.Failed || e.Damage != "" {
		c.startScrub(scrubRetry)
	}
}
