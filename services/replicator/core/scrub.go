package core

import "time"

// scrubRetry is the pause before a log is scrubbed again after it could not be read or had
// lost entries.
const scrubRetry = 10 * time.Second

// scrub starts the check of the entries that recovery did not read. It runs once per core,
// and again after scrubRetry until it finds no damage.
func (c *Core) scrub() {
	if c.scrubbing {
		return
	}
	c.scrubbing, c.scrubTo = true, c.stats.Covered
	if c.scrubTo > 0 {
		c.fx.Scrub = &Scrub{To: c.scrubTo}
	}
}

// scrubDone records the result of a scrub. If it differs from the last one, the log is read
// again, which makes the partition read-only or writable.
func (c *Core) scrubDone(e Scrubbed) {
	if !e.Failed {
		c.rescan = c.rescan || c.scrubbed != e.Damage
		c.scrubbed = e.Damage
	}
	if e.Failed || e.Damage != "" {
		c.fx.Scrub = &Scrub{To: c.scrubTo, After: scrubRetry}
	}
}
