package core

// Behind reports that the log is older than the object store, or that it is not any more. A sweep of the
// store has found that, and has confirmed it. It may arrive at any time.
//
// A log that is behind looks whole: the mark and the snapshots were restored with it. But the store may have
// records at its next offsets, and a repair or a newer copy of the log brings them back. So the partition is
// read-only: batches that were acknowledged meanwhile would be lost then, or would have offsets that
// consumers have seen with other records.
type Behind struct {
	Reason string // for operators and producers; empty if the log is not behind
}

// fallBehind has the log read again if what is known about it has changed. That ends the term, or starts one. A
// core that waits for the snapshots has not decided yet.
func (c *Core) fallBehind(e Behind) {
	if e.Reason == c.behind {
		return
	}
	c.behind = e.Reason
	c.rescan = c.rescan || c.phase != loading
}
