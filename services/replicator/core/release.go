package core

import (
	"time"

	"laneway.dev/pkg/messages"
)

// release drops what a replaced frontend or sequencer sends: their successors answer. Both
// are told, because epochs may have started again at a lower number; and a sequencer that
// has started since then knows no older frontends than the one that it serves.
func (c *Core) release(now time.Time, m messages.Release) {
	if m.SequencerEpoch < c.epochs.Sequencer {
		c.behind = true
		return
	}
	c.epochs.Sequencer = m.SequencerEpoch
	if m.HelloTerm == c.term {
		// Also from a sequencer that has not heard of the newest frontend: it has nothing of it to release.
		c.answered = true
	}
	if m.Epoch < c.epochs.Frontend {
		if len(m.Batches) > 0 {
			c.stale[m.Epoch] = true
		}
		return
	}
	c.newFrontend(m.Epoch)
	c.partition.Release(now, c.epochs, m.Batches)
}

// newFrontend ends the lanes of older frontend epochs.
func (c *Core) newFrontend(epoch uint64) {
	if epoch > c.epochs.Frontend {
		c.epochs.Frontend = epoch
		c.partition.EndLanes()
	}
}
