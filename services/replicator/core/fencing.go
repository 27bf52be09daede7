package core

import (
	"time"

	"laneway.dev/pkg/messages"
)

// release handles batches that a sequencer has released. Those of a replaced frontend or
// sequencer are dropped, because the successor answers for them. The replaced process
// receives Fenced. If it was only suspended, it then ends. If its epoch is too low because
// the bucket of epochs was lost, it takes a higher one. The sequencer cannot send Fenced to
// every old frontend: after a restart it knows only the one that it serves.
func (c *Core) release(now time.Time, m messages.Release) {
	if m.SequencerEpoch < c.epochs.Sequencer {
		c.staleSequencer = true
		return
	}
	c.epochs.Sequencer = m.SequencerEpoch
	if m.HelloTerm == c.term {
		// Hello is answered even if the sequencer does not know the newest frontend yet: it
		// then has no batches of that frontend to release.
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
