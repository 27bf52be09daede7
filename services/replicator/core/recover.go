package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/partition"
)

// Read asks for entries from a sequence on. The shell repeats it until it succeeds,
// and answers with LogRead.
type Read struct {
	From  uint64
	Limit int
	After time.Duration // pause before it
}

// LogRead answers a Read.
type LogRead struct {
	Entries []LoggedEntry
	AtEnd   bool   // no readable entry follows the last one
	Last    uint64 // if AtEnd: the last sequence of the log, as the leader reports it
	Sealed  bool   // if AtEnd: the log takes no more appends
	Suspect bool   // if AtEnd: more entries may have followed, in groups of the journal that are lost
	Corrupt string // why the message after Entries is not a valid entry, or empty; AtEnd and Last are not valid then
	Gone    bool   // the log does not exist; the other fields are not valid then
	Deleted bool   // the topic does not exist; the other fields are not valid then
}

// LoggedEntry is an entry with its sequence.
type LoggedEntry = messages.LoggedEntry

// rollBack drops everything that is not known to be in the log, and reads the log. The entry
// of an append under way may be in the log, or may still arrive there. Reading up to a new
// term record settles which.
func (c *Core) rollBack() {
	c.phase, c.requested = reading, false
	c.appending, c.flightData = false, nil
	c.partition.RollBack()
}

// logRead applies entries to the state. Before the first one it compares the snapshot, if
// there is one, with the log. Each entry must follow the one before it without a hole.
// Reading ends at the end of the stream, at damage, or at a term record that fences this
// core.
func (c *Core) logRead(now time.Time, r LogRead) {
	c.requested = false
	if c.phase != reading {
		return
	}
	if r.Deleted {
		c.readAfter = deletedPause
		return
	}
	if !r.empty() {
		c.emptySince = time.Time{}
	} else if c.isNew(now) {
		c.readAfter = newLogPause
		return
	}
	if r.Gone {
		c.withoutEntries(now, "JetStream does not have its log: files were deleted, or could not be restored, as the log of NATS says")
		return
	}
	if len(r.Entries) == 0 && !r.AtEnd && r.Corrupt == "" {
		return // from a replica that lags
	}
	if c.unproven != nil {
		if what := c.snapshotConflict(&r); what != "" {
			if !c.overtakenByPurge(r.Entries) {
				c.damaged(now, what)
			}
			return
		}
		fenced := fencedBy(c.unproven.Owner, c.unproven.OwnerEpoch, c.settings)
		c.unproven = nil
		if fenced != 0 {
			c.takeEpoch(fenced)
			return
		}
		c.risingFrom = r.Entries[0].Entry.RisingFrom
		r.Entries = r.Entries[1:]
	}
	c.stats.Replayed += uint64(len(r.Entries))
	for i := range r.Entries {
		if what := c.missingBefore(&r.Entries[i]); what != "" {
			if !c.overtakenByPurge(r.Entries[i:]) {
				c.suspect(now, what, c.patience())
			}
			return
		}
		if fenced := c.apply(now, &r.Entries[i]); fenced != 0 {
			c.takeEpoch(fenced)
			return
		}
	}
	switch {
	case r.Corrupt != "":
		c.damaged(now, r.Corrupt)
	case r.AtEnd:
		c.foundEnd(now, &r)
	}
}

// A topic's record exists shortly before its logs do. Until newLogTime has passed, a log
// without entries is read again after newLogPause.
const (
	newLogTime  = 2 * time.Second
	newLogPause = 5 * time.Millisecond
)

// empty reports whether there is no log, or one without any entry.
func (r *LogRead) empty() bool {
	return r.Gone || r.AtEnd && r.Last == 0 && len(r.Entries) == 0
}

// isNew reports whether a log without entries may still be under creation.
func (c *Core) isNew(now time.Time) bool {
	if c.emptySince.IsZero() {
		c.emptySince = now
	}
	return now.Sub(c.emptySince) < newLogTime
}

// foundEnd starts the claim after the end of the log was reached, unless there is evidence
// that the log was longer once, its stream is sealed, or it is older than the object store.
func (c *Core) foundEnd(now time.Time, r *LogRead) {
	what := c.shorter(r.Last)
	if what == "" && r.Suspect {
		what = c.unprovenEnd()
	}
	switch {
	case r.Last < c.last:
		c.startOver() // entries that this core has read are missing
	case r.Sealed:
		c.suspect(now, sealed, 0)
	case c.behind != "":
		c.suspect(now, c.behind, 0)
	case what != "":
		c.damaged(now, what)
	case c.last == 0:
		c.withoutEntries(now, "its log is empty, and has lost everything")
	default:
		c.damage, c.suspectSince = damage{}, time.Time{}
		c.resumeAfter(c.end())
		c.phase = reserving
	}
}

// readHistory applies what an entry that was read says about the history of the log.
func (c *Core) readHistory(e *LoggedEntry) {
	if e.Entry.Created && c.last == 0 {
		c.partition.Created(e)
		c.purges.known(e.Sequence)
	}
	if archived, moved := c.partition.ReadHistory(e); moved {
		c.historyMoved(archived)
	}
}

// historyMoved notes that a part of the log is archived.
func (c *Core) historyMoved(archived messages.Run) {
	c.purges.archived(archived)
	c.snapshots.wanted = true // so that the archived entries can be purged
}

// apply adds one entry of the log to the state. It returns the epoch that fences this core,
// or 0. The entry is not checked: its owner decided, and its batches may be acknowledged.
func (c *Core) apply(now time.Time, e *LoggedEntry) (fenced uint64) {
	n := &e.Entry
	c.readHistory(e)
	c.last, c.lastTime, c.risingFrom = e.Sequence, n.Time, n.RisingFrom
	c.raise(max(c.watermark.logged, n.Watermark))
	at := n.At()
	if at.After(now) {
		at = now // an earlier owner's clock was ahead; its producers must expire nevertheless
	}
	c.partition.Advance(at)
	if n.Owner != "" {
		c.partition.Continue(at, n.BaseOffset)
		if n.Owner != c.settings.Owner && c.reserve.own {
			c.reserve.moved = true // an owner writes the mark before it claims the log
		}
		return fencedBy(n.Owner, n.OwnerEpoch, c.settings)
	}
	c.epochs.Sequencer = max(c.epochs.Sequencer, n.SequencerEpoch)
	c.newFrontend(n.Epoch)
	c.partition.Apply(at, c.epochs.Frontend, partition.Section{
		Epochs:     partition.Epochs{Frontend: n.Epoch, Sequencer: n.SequencerEpoch},
		BaseOffset: n.BaseOffset, Batches: n.Batches, Fences: n.Fences, Refused: n.Refused,
	})
	return 0
}
