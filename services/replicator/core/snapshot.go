package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/partition"
)

// Save asks for a snapshot to be stored and read back. Once that is done, the shell may remove the
// snapshots below Keep, and no others: a log that was purged needs the last two that were read back.
//
// Example: the snapshots of the entries 100 and 200 are good, and the one of 300 was stored and
// could not be read back. With the one of 400, only that of 100 may go, although three others are
// stored.
type Save struct {
	messages.Snapshot
	Keep uint64
}

// Saved answers a Save.
type Saved struct {
	Sequence uint64 // of the snapshot
	// Failed is set if the snapshot may not be stored. Otherwise it was read back and decoded.
	Failed bool
}

// Pauses after a snapshot could not be stored.
const (
	firstSavePause   = 10 * time.Second
	longestSavePause = 5 * time.Minute
)

// snapshots is what a core knows about the snapshots of its log.
type snapshots struct {
	saving   bool      // a Save is under way
	early    bool      // it was asked for before the snapshots were loaded, which may have it
	saved    uint64    // sequence of the last one that was stored or loaded
	wanted   bool      // one is to be made, because the history has moved
	failures int       // since the last one that was stored
	after    time.Time // when the next one may be made, after a failure
	// newer and older are the sequences of the last two that can be read; 0 is none. A log keeps
	// the entries from the older one on, in case the newer one is damaged.
	newer, older uint64
}

// good notes a snapshot that can be read.
func (s *snapshots) good(sequence uint64) {
	if sequence >= s.newer {
		s.newer, s.older = sequence, s.newer
		return
	}
	s.older = max(s.older, sequence)
}

// forget drops what was found when the log was loaded.
func (s *snapshots) forget() {
	s.saved, s.wanted, s.newer, s.older = 0, false, 0, 0
	s.early = s.saving
}

// save asks for a snapshot when one is due. Only one is stored at a time.
func (c *Core) save(now time.Time) {
	s := &c.snapshots
	if s.saving || now.Before(s.after) || !c.snapshotDue(now) {
		return
	}
	c.stats.Snapshots++
	s.saving, s.wanted = true, false
	c.fx.Save = &Save{c.snapshot(), s.newer}
}

// snapshotDue reports whether SnapshotEvery entries have been appended since the last
// snapshot, or the history has moved. A log that became idle after that gets a second
// snapshot, because its archived entries cannot be purged before the older of two.
func (c *Core) snapshotDue(now time.Time) bool {
	s := &c.snapshots
	if s.wanted || c.last >= s.saved+c.settings.SnapshotEvery {
		return true
	}
	history := c.partition.History()
	end := history.End.Sequence
	return history.Archived() && c.idle(now) && s.older <= end && end < s.newer && c.purges.worth(max(s.older, c.purges.below), end+1, c.settings.PurgeEntries)
}

// savedSnapshot notes that a Save has ended.
func (c *Core) savedSnapshot(now time.Time, e Saved) {
	s := &c.snapshots
	early := s.early
	s.saving, s.early = false, false
	if e.Failed {
		s.after = now.Add(min(firstSavePause<<min(s.failures, 10), longestSavePause))
		s.failures++
		s.wanted = true
		c.stats.SnapshotFailures++
		return
	}
	s.failures, s.saved = 0, e.Sequence
	if early && (c.phase == loading || e.Sequence == s.newer) {
		return // what is loaded has it, and it must not count as two
	}
	s.good(e.Sequence)
}

// snapshot returns the state up to the last entry of the log, without batches in flight.
func (c *Core) snapshot() messages.Snapshot {
	s := messages.Snapshot{
		TopicID: c.id.TopicID, Incarnation: c.id.Incarnation, Sequence: c.last, Time: c.lastTime,
		Owner: c.settings.Owner, OwnerEpoch: c.settings.Epoch,
		FrontendEpoch: c.epochs.Frontend, SequencerEpoch: c.epochs.Sequencer, Watermark: c.watermark.logged,
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
		if s.TopicID != c.id.TopicID || s.Incarnation != c.id.Incarnation || s.Sequence == 0 {
			continue
		}
		c.snapshots.good(s.Sequence)
		if c.unproven == nil {
			c.restore(s)
		}
	}
	if c.trouble = ""; c.unproven == nil {
		c.trouble = e.Trouble
	}
}

// restore takes the state of a snapshot.
func (c *Core) restore(s *messages.Snapshot) {
	c.unproven = s
	c.last, c.snapshots.saved = s.Sequence, s.Sequence
	c.stats.Covered = s.Sequence
	c.lastTime = s.Time
	c.epochs = partition.Epochs{Frontend: s.FrontendEpoch, Sequencer: s.SequencerEpoch}
	c.raise(s.Watermark)
	c.partition.Restore(s)
}

// readFrom returns the next sequence to read. After a snapshot was loaded, that is
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
	c.last, c.lastTime, c.risingFrom = 0, 0, 0
	c.epochs = partition.Epochs{}
	c.stats.Covered = 0
	c.raise(0)
	c.snapshots.forget()
	c.purges.forget()
	c.partition.Forget()
}
