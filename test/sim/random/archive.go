package random

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
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
			m.Each(r.countAnswer)
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

// countAnswer counts the answer to a job, if it comes too late.
func (r *run) countAnswer(m messages.Message) {
	if done, is := m.(messages.Archived); is && done.Base != r.PartitionOf(done.Partition).Log.History().Manifest {
		r.counts.AnswersIgnored++
	}
}

// saveFails does not store a snapshot, or stores it damaged, or stores it without an answer.
func (r *run) saveFails(p *world.Process, of *world.Partition, s *replicator.Save, data []byte) {
	r.counts.SavesFailed++
	r.SayOf(of, "  ! %s cannot store the snapshot of entry %d, or cannot read it back", p, s.Sequence)
	switch r.rng.IntN(3) {
	case 0:
		damaged := slices.Clone(data)
		damaged[r.rng.IntN(len(damaged))] ^= 1 << r.rng.IntN(8)
		of.Evidence.Store(s.Sequence, damaged)
	case 1:
		of.Evidence.Store(s.Sequence, data)
	}
	r.Result(p, of, replicator.Saved{Sequence: s.Sequence, Failed: true})
}

// loseSnapshots loses all snapshots for a while, and kills the owners of the logs now and then.
func (r *run) loseSnapshots() {
	r.counts.SnapshotsLost++
	r.Say("the snapshots are lost")
	for _, of := range r.Partitions {
		of.Evidence.Lose()
	}
	if r.chance(0.9) {
		for _, p := range r.Living(world.Replicator) {
			r.Die(p, "killed")
		}
		r.after(r.between(10*time.Millisecond, 500*time.Millisecond), func() { r.start(world.Replicator) })
	}
	r.after(r.between(100*time.Millisecond, 4*time.Second), func() {
		r.Say("the snapshots are restored")
		r.restoreSnapshots()
	})
}

func (r *run) restoreSnapshots() {
	for _, of := range r.Partitions {
		of.Evidence.Restore()
	}
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

func (r *run) countRead(of *world.Partition, q fetch.Read) {
	switch {
	case q.History.Archived():
		r.counts.HistoryFetched++
	case q.From < of.Log.First:
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
	for _, of := range r.Partitions {
		if s := r.checks[of.Index]; r.Archive != nil && !of.Deleted && (s.Unarchived() > 0 || s.Archived().Sequence >= of.Log.First+mostPurgeEntries) {
			return false
		}
	}
	return true
}

// endArchive checks that everything is archived and purged once faults have ended long ago.
func (r *run) endArchive() {
	if r.settled() {
		return
	}
	var logs []string
	for _, of := range r.Partitions {
		s := r.checks[of.Index]
		logs = append(logs, fmt.Sprintf("%d batches are not archived; the watermark is %d in generation %d, the history ends with entry %d, and the log begins with %d",
			s.Unarchived(), of.Log.Watermark(), r.Generation, s.Archived().Sequence, of.Log.First))
	}
	r.Violated("%w", fmt.Errorf("archive: %s; truncations are answered: %t; due to be dropped: %s; %d sweeps are complete, and left is %q",
		strings.Join(logs, "; next partition: "), r.truncated(), cmp.Or(r.due(), "nothing"), r.calmSwept, r.leftover()))
}
