package core

// EpochTaken answers TakeEpoch: this process has taken an epoch above the one that fenced it, or
// another partition.
type EpochTaken struct{ Epoch uint64 }

// Replaced reports that this process has no right to any log: a younger replicator has the
// role, or the record of the role cannot be read. It may arrive at any time.
type Replaced struct{ Err error }

// takeEpoch drops the uncommitted state and waits for an epoch above the given one.
func (c *Core) takeEpoch(above uint64) {
	c.rollBack()
	c.phase = fenced
	c.fencedBy, c.fx.TakeEpoch = above, above
}

// epochTaken starts over with a new epoch. No younger replicator is running, because this
// process would not have received the epoch otherwise. So the epoch in the log belongs to an
// owner that has ended, or was given twice because the bucket of epochs was lost. An append
// of this core under its old epoch may still arrive. It is treated like that of another
// owner: reading the log and appending a new term record settles it.
func (c *Core) epochTaken(e EpochTaken) {
	if c.phase != fenced || e.Epoch <= c.fencedBy {
		return
	}
	c.settings.Epoch = e.Epoch
	c.startOver()
}

// replaced ends the core. Waiting batches are not answered: the sequencer releases them
// again to the successor, and only that one may answer them.
func (c *Core) replaced(e Replaced) {
	c.phase = ended
	c.fx.Ended = e.Err
}

// fencedBy returns the epoch that a core must exceed before it may claim a log whose term
// record or snapshot names this owner; 0 if it may claim the log with its own epoch.
//
// A lower epoch is no obstacle, even in the newest term record: an older owner may have been
// suspended and claimed the log when it resumed, and the younger one claims it back. An
// equal epoch of another owner was given twice, because the bucket of epochs was lost or
// restored.
func fencedBy(owner string, epoch uint64, own Settings) uint64 {
	if epoch < own.Epoch || epoch == own.Epoch && owner == own.Owner {
		return 0
	}
	return epoch
}
