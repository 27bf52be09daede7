package core

// EpochTaken answers TakeEpoch: this process has an epoch above the one that fenced it.
type EpochTaken struct{ Epoch uint64 }

// Replaced says that this process has no right to any log: a younger replicator has the
// role, or it cannot be known which one has. It may come at any time.
type Replaced struct{ Err error }

// takeEpoch lets the core wait for an epoch above one that fences it.
func (c *Core) takeEpoch(above uint64) {
	c.rollBack()
	c.phase = fenced
	c.fx.TakeEpoch = above
}

// epochTaken starts over with a new epoch. No younger replicator runs, so the epoch that
// was found in the log is that of an owner that has ended, or was given out twice because
// the bucket of epochs was lost. What an append of the old epoch has become is settled like
// that of another owner: by reading the log up to a new term record.
func (c *Core) epochTaken(e EpochTaken) {
	if c.phase != fenced {
		return
	}
	c.settings.Epoch = e.Epoch
	c.startOver()
}

// replaced ends the core. What waits is not answered: it is released again to the
// successor, which alone may answer it.
func (c *Core) replaced(e Replaced) {
	c.phase = ended
	c.fx.Ended = e.Err
}

// fencedBy returns the epoch that a core must get above before it may claim a log that
// had this owner, as a term record or a snapshot tells; 0 if it may claim it as it is. A
// lower epoch is claimed from, wherever it stands: an older owner may have woken up. An
// equal epoch of another owner was given twice, because the bucket of epochs was lost or
// restored.
func fencedBy(owner string, epoch uint64, own Settings) uint64 {
	if epoch < own.Epoch || epoch == own.Epoch && owner == own.Owner {
		return 0
	}
	return epoch
}
