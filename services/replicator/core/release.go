package core

import (
	"time"

	"laneway.dev/pkg/messages"
)

// release takes batches from a sequencer. Those of a replaced frontend or sequencer are
// dropped, because their successors answer. Both receive Fenced: it ends a process that was
// suspended, and makes one whose epoch is too low, because the bucket of epochs was lost,
// take a higher one. The sequencer cannot do this for frontends: after a restart it knows
// only the one that it serves.
func (c *Core) release(now time.Time, m messages.Release) {
	if m.SequencerEpoch < c.epochs.Sequencer {
		c.staleSequencer = true
		return
	}
	c.epochs.Sequencer = m.SequencerEpoch
	if m.HelloTerm == c.term {
		// This counts although the sequencer may not know the newest frontend yet: then it has
		// no batches of that one to release.
		c.helloAnswered = true
	}
	if m.Epoch < c.epochs.Frontend {
		if len(m.Batches) > 0 {
			c.staleFrontends[m.Epoch] = true
		}
		return
	}
	c.newFrontend(m.Epoch)
	c.partition.Release(now, c.epochs, m.Batches)
}

// newFrontend ends the lanes of lower frontend epochs.
func (c *Core) newFrontend(epoch uint64) {
	if epoch > c.epochs.Frontend {
		c.epochs.Frontend = epoch
		c.partition.EndLanes()
	}
}
