package core

// EpochTaken answers TakeEpoch: this process owns the log in an epoch above the one that fenced it, or
// another partition.
type EpochTaken struct{ Epoch uint64 }

// takeEpoch drops the uncommitted state and waits for an epoch above the given one.
func (c *Core) takeEpoch(above uint64) {
	c.rollBack()
	c.phase = fenced
	c.fencedBy, c.fx.TakeEpoch = above, above
}

// epochTaken starts over with a new epoch. The log is this process's, because it
// would not have received the epoch otherwise. So the epoch in the log belongs to an
// earlier owner, or was given twice because the record of the role was lost. An append
// of this core under its old epoch may still arrive. It is treated like that of another
// owner: reading the log and appending a new term record settles it.
func (c *Core) epochTaken(e EpochTaken) {
	if c.phase != fenced || e.Epoch <= c.fencedBy {
		return
	}
	c.settings.Epoch = e.Epoch
	c.startOver()
}

// fencedBy returns the epoch that a core must exceed before it may claim a log whose term
// record or snapshot names this owner; 0 if it may claim the log with its own epoch.
//
// A lower epoch is no obstacle, even in the newest term record: an older owner may have been
// suspended and claimed the log when it resumed, and the younger one claims it back. An
// equal epoch of another owner was given twice, because the record of the role was lost or
// restored.
func fencedBy(owner string, epoch uint64, own Settings) uint64 {
	if epoch < own.Epoch || epoch == own.Epoch && owner == own.Owner {
		return 0
	}
	return epoch
}
