package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/partition"
)

// save asks for a snapshot after every SnapshotEvery entries. Only one is stored at a time.
func (c *Core) save() {
	if c.saving || c.last-c.saved < c.settings.SnapshotEvery {
		return
	}
	if c.partition.SnapshotSize() > c.settings.SnapshotBytes {
		c.stats.Oversized++
		c.saved = c.last
		return
	}
	c.stats.Snapshots++
	c.saving = true
	s := c.snapshot()
	c.fx.Save = &s
}

// snapshot returns the state up to the last entry of the log, without batches in flight.
func (c *Core) snapshot() messages.Snapshot {
	s := messages.Snapshot{
		TopicID: c.id.TopicID, Incarnation: c.id.Incarnation, Sequence: c.last, Time: c.lastTime,
		Owner: c.settings.Owner, OwnerEpoch: c.settings.Epoch,
		FrontendEpoch: c.epochs.Frontend, SequencerEpoch: c.epochs.Sequencer,
	}
	c.partition.Snapshot(&s)
	return s
}

// loaded starts from the newest snapshot of this log and incarnation. The snapshot is
// compared with the log when the last entry that it covers is read.
func (c *Core) loaded(now time.Time, e Loaded) {
	if c.phase != loading {
		return
	}
	c.phase, c.requested = reading, false
	if e.Mark.Damage != "" {
		// JetStream cannot overwrite a mark that it cannot read, so no place can be reserved.
		c.damaged(now, e.Mark.Damage)
		return
	}
	c.reserve.FoundMark = e.Mark
	for i := range e.Snapshots {
		s := &e.Snapshots[i]
		if s.TopicID == c.id.TopicID && s.Incarnation == c.id.Incarnation && s.Sequence > 0 {
			c.restore(s)
			return
		}
	}
}

// restore takes the state of a snapshot.
func (c *Core) restore(s *messages.Snapshot) {
	c.unproven = s
	c.last, c.saved = s.Sequence, s.Sequence
	c.stats.Covered = s.Sequence
	c.lastTime = s.Time
	c.epochs = partition.Epochs{Frontend: s.FrontendEpoch, Sequencer: s.SequencerEpoch}
	c.partition.Restore(s)
}

// readFrom returns the next stream sequence to read. After a snapshot was loaded, that is
// the last one that it covers, so that log and snapshot can be compared.
func (c *Core) readFrom() uint64 {
	if c.unproven != nil {
		return c.last
	}
	return c.last + 1
}

// forget drops all state that was read from a snapshot and the log.
func (c *Core) forget() {
	c.unproven = nil
	c.last, c.saved, c.lastTime, c.risingFrom = 0, 0, 0, 0
	c.epochs = partition.Epochs{}
	c.stats.Covered = 0
	c.partition.Forget()
}
