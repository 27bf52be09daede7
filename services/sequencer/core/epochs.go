package core

import "time"

// fencedSelf requests an epoch above the one that a replicator knows. Either another
// sequencer has that epoch, or the record of the role was lost and its numbers started again.
// The replicator sends Fenced each time it drops releases; one request is enough.
func (c *Core) fencedSelf(highest uint64) {
	if highest > max(c.epoch, c.fencedBy) {
		c.fencedBy, c.fx.TakeEpoch = highest, highest
	}
}

// admit reports whether a message of a frontend epoch is accepted. A higher epoch removes
// all lanes of the lower one. A frontend with a lower epoch is fenced.
func (c *Core) admit(now time.Time, epoch uint64) bool {
	if epoch < c.frontend {
		c.fenced[epoch] = true
		return false
	}
	if epoch > c.frontend {
		c.flushReleases(now) // they are of the older epoch, and their message says so
		if c.announced {
			c.announced = false
			c.fenced[c.frontend] = true
		}
		c.frontend = epoch
		clear(c.lanes)
		c.missing, c.inline = nil, inline{}
	}
	return true
}
