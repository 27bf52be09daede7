package core

import "time"

// scrubAgain is after what time a log is scrubbed again that could not be read, or had
// lost entries.
const scrubAgain = 10 * time.Second

// scrub lets the entries be looked at that this core has not read, until all are there.
func (c *Core) scrub() {
	if c.scrubbing {
		return
	}
	c.scrubbing, c.scrubTo = true, c.stats.Covered
	if c.scrubTo > 0 {
		c.fx.Scrub = &Scrub{To: c.scrubTo}
	}
}

// scrubDone notes what was found. If it has changed, the log is looked at again, which
// makes the partition read-only or ends that.
func (c *Core) scrubDone(e Scrubbed) {
	if !e.Failed {
		c.rescan = c.rescan || c.scrubbed != e.Damage
		c.scrubbed = e.Damage
	}
	if e.Failed || e.Damage != "" {
		c.fx.Scrub = &Scrub{To: c.scrubTo, After: scrubAgain}
	}
}
