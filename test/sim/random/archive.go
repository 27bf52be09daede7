package random

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/fetch"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/world"
)

// mostPurgeEntries is how many archived entries may stay in an idle log.
const mostPurgeEntries = 40

// archiving draws the settings of a replicator that archives.
func (r *run) archiving(s *replicator.Settings) {
	s.ArchiveBytes = 100 + r.rng.Int64N(2000)
	s.ArchiveAge = r.between(300*time.Millisecond, 4*time.Second)
	s.JobSilence = r.between(4*heartbeat, 3*time.Second)
	s.GiveUpTime = r.between(time.Second, 4*time.Second)
	s.PurgeEntries = 1 + r.rng.Uint64N(mostPurgeEntries)
	s.Codec = pick(r, append(protocol.Compressions(), "", ""))
	if r.config.Mix.ShortTail || r.chance(0.3) {
		s.ArchiveBytes, s.ArchiveAge, s.SnapshotEvery, s.PurgeEntries = 100, heartbeat, 4, 1
	}
	s.Retention = r.retention
	if tail := r.config.Mix.Tail; tail > 0 {
		s.TailBatches = tail
	}
}

// sendArchive sends a job to one of the archivers, and sometimes to another one too. It counts
// the answers that come too late. It returns false for any other message.
func (r *run) sendArchive(from *world.Process, to []*world.Process, m *world.Message) bool {
	if len(to) == 0 || to[0].Role != world.Archiver {
		if from.Role == world.Archiver {
			if done, is := m.Decode().(messages.Archived); is && done.Base != r.Log.History().Manifest {
				r.counts.AnswersIgnored++
			}
		}
		return false
	}
	if r.fault(r.config.Mix.DoubleJob) {
		r.counts.JobsDoubled++
		r.carry(from, pick(r, to), m)
	}
	r.carry(from, pick(r, to), m)
	return true
}

// Purge implements world.Scheduler. A purge may fail, and may be done although its owner is told
// that it has failed, even much later.
func (r *run) Purge(p *world.Process, what replicator.Purge) {
	takes := r.between(time.Millisecond, 30*time.Millisecond)
	failed := r.fault(r.config.Mix.PurgeFails)
	if failed {
		r.counts.PurgesFailed++
	}
	if !failed || r.chance(0.8) {
		lands := takes / 2
		if failed {
			r.counts.PurgesLate++
			lands = r.between(0, 8*time.Second)
		}
		r.after(lands, func() { r.World.Purge(what.Below) })
	}
	r.after(takes, func() {
		if failed {
			r.Deliver(p, replicator.PurgeFailed{Reason: "simulated"})
		} else {
			r.Deliver(p, replicator.Purged(what))
		}
	})
}

// saveFails does not store a snapshot, or stores it damaged, or stores it without an answer.
func (r *run) saveFails(p *world.Process, s *replicator.Save, data []byte) {
	r.counts.SavesFailed++
	r.Say("  ! %s cannot store the snapshot of entry %d, or cannot read it back", p, s.Sequence)
	switch r.rng.IntN(3) {
	case 0:
		damaged := slices.Clone(data)
		damaged[r.rng.IntN(len(damaged))] ^= 1 << r.rng.IntN(8)
		r.Evidence.Store(s.Sequence, damaged)
	case 1:
		r.Evidence.Store(s.Sequence, data)
	}
	r.Deliver(p, replicator.Saved{Sequence: s.Sequence, Failed: true})
}

// loseSnapshots loses all snapshots for a while, and kills the owner of the log now and then.
func (r *run) loseSnapshots() {
	r.counts.SnapshotsLost++
	r.Say("the snapshots are lost")
	r.Evidence.Lose()
	if r.chance(0.9) {
		for _, p := range r.Living(world.Replicator) {
			r.Die(p, "killed")
		}
		r.after(r.between(10*time.Millisecond, 500*time.Millisecond), func() { r.start(world.Replicator) })
	}
	r.after(r.between(100*time.Millisecond, 4*time.Second), func() {
		r.Say("the snapshots are restored")
		r.Evidence.Restore()
	})
}

// historyAway answers a question about the history if the object store cannot be read.
func (r *run) historyAway(h messages.History, answer func(fetch.Event)) bool {
	if !h.Archived() || !r.fault(r.config.Mix.HistoryAway) {
		return false
	}
	r.counts.HistoryAway++
	answer(fetch.Failed{Err: protocol.NewError(protocol.CodeStoreUnavailable, "simulated"), Random: r.rng.Float64()})
	return true
}

func (r *run) countRead(q fetch.Read) {
	switch {
	case q.History.Archived():
		r.counts.HistoryFetched++
	case q.From < r.Log.First:
		r.counts.Overtaken++
	}
}

// settled reports whether everything is archived that is due, and purged, and older objects may go.
func (r *run) settled() bool {
	if r.Generation > 0 && !r.followed() {
		return false
	}
	if !r.collected() || !r.truncated() || r.due() != "" {
		return false
	}
	return r.Archive == nil || r.checks.Unarchived() == 0 && r.checks.Archived().Sequence < r.Log.First+mostPurgeEntries
}

// endArchive checks that everything is archived and purged once faults have ended long ago.
func (r *run) endArchive() {
	if !r.settled() {
		r.Violated("%w", fmt.Errorf("archive: %d batches are not archived; the watermark is %d in generation %d, the history ends with entry %d, and the log begins with %d; truncations are answered: %t; due to be dropped: %s; %d sweeps are complete, and left is %q",
			r.checks.Unarchived(), r.Log.Watermark(), r.Generation, r.checks.Archived().Sequence, r.Log.First, r.truncated(), cmp.Or(r.due(), "nothing"), r.calmSwept, r.leftover()))
	}
}
