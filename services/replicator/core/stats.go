package core

import (
	"time"

	"laneway.dev/services/replicator/core/partition"
)

// Stats counts what happened on a log and its partition.
type Stats struct {
	partition.Stats
	Entries    uint64 // appended by this owner, with and without batches
	Terms      uint64
	Snapshots  uint64        // made
	Replayed   uint64        // entries read during recovery
	ClockFalls uint64        // appended entries with a time far below that of the entry before
	ClockFell  time.Duration // the difference at the last of them
	Term       uint64        // the current one, or the last one
	Leading    bool
	Marks      uint64 // written
	Gap        int64  // offsets left out when this owner started a term
	Damage     string // what the log has lost; empty if nothing
	Unbegun    bool   // if Damage: nothing shows that the log ever had an entry
	Refusing   string // why JetStream has accepted no appends for a while; empty if it accepts them
	Covered    uint64 // the last entry that recovery did not read, because a snapshot covers it
	Damaged    int    // partitions with damage; only in the sums over partitions

	SnapshotFailures uint64
	LogBytes         int64  // bytes of the entries that are not purged, as far as this owner knows
	PurgedBytes      uint64 // bytes of the entries that were purged, as far as this owner knows
	Watermark        uint64 // of the newest entry in the log
	Generation       uint64 // of objects, the newest that is known
	Congested        bool   // frontends refuse requests until more is archived
}

// Stats returns what happened so far.
func (c *Core) Stats() Stats {
	s := c.stats
	s.Stats = c.partition.Stats()
	s.Term, s.Leading, s.Refusing = c.term, c.phase == leading, c.refusal.lasting
	s.Damage, s.Unbegun = c.damage.what, c.damage.unbegun
	s.Congested = s.Leading && s.Full
	s.Watermark, s.Generation = c.watermark.logged, c.watermark.newest
	s.LogBytes = s.Unarchived + c.purges.logBytes(c.last+1)
	return s
}
