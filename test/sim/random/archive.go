package random

import (
	"errors"
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

var (
	errPut  = errors.New("the object store has not answered")
	errAway = errors.New("the object store cannot be read")
)

// tries is how often an archiver repeats what fails at the object store.
const tries = 4

// Job implements world.Scheduler. An archiver that hangs continues with its jobs later.
func (r *run) Job(p *world.Process, a messages.Archive) {
	r.counts.Jobs++
	if r.fault(r.config.Mix.FreezeJob) {
		r.counts.JobsFrozen++
		r.hangs(p, r.between(300*time.Millisecond, longestHang))
	}
	j, err := world.NewJob(p, a)
	if err != nil {
		r.jobEnds(j, err)
		return
	}
	r.readLog(j)
}

// step takes a step of a job, unless its archiver has died. An error ends the job.
func (r *run) jobStep(j *world.Job, takes time.Duration, do func() error) {
	r.after(takes, func() {
		r.awake(j.By, func() {
			if err := do(); err != nil {
				r.jobEnds(j, err)
			}
		})
	})
}

func (r *run) jobEnds(j *world.Job, failed error) {
	if failed != nil {
		r.counts.JobsFailed++
		r.Say("  ! a job of %s fails: %v", j.By, failed)
	}
	r.Deliver(j.By, j.Finished(failed))
}

func (r *run) readLog(j *world.Job) {
	r.jobStep(j, r.between(time.Millisecond, 20*time.Millisecond), func() error {
		done, err := r.ReadLog(j, 1+r.rng.IntN(20))
		switch {
		case err != nil:
			return err
		case done:
			r.readFrames(j, tries)
		default:
			r.readLog(j)
		}
		return nil
	})
}

// readFrames reads the batches of a job. Some objects cannot be read for a while, and some
// batches are damaged.
func (r *run) readFrames(j *world.Job, left int) {
	took := r.between(time.Millisecond, 50*time.Millisecond)
	if r.fault(r.config.Mix.SlowStore) {
		took = r.between(0, 3*time.Second)
	}
	r.jobStep(j, took, func() error {
		away := false
		err := j.ReadFrames(func(x messages.Extent) []byte {
			until, known := r.away[x.Key]
			if !known && r.fault(r.config.Mix.Unreadable) {
				r.counts.Unreadable++
				until = r.Now.Add(r.between(100*time.Millisecond, 6*time.Second))
				r.Say("  ! %s cannot be read for %s", x.Key, until.Sub(r.Now).Round(time.Millisecond))
			}
			r.away[x.Key] = until
			away = away || !r.calm && r.Now.Before(until)
			if r.damaged(x) {
				return nil
			}
			return r.checks.Content(x).Payload()
		})
		switch {
		case away && left == 0:
			return errAway
		case away:
			r.readFrames(j, left-1)
			return nil
		case err != nil:
			return err
		}
		r.putSegment(j, tries)
		return nil
	})
}

func (r *run) putSegment(j *world.Job, left int) {
	o, err := r.Segment(j)
	if err != nil {
		r.jobEnds(j, err)
		return
	}
	r.putObject(j, o, func(err error) error {
		switch {
		case err == nil:
			r.counts.Merged += j.Merged
			return r.putManifest(j, tries)
		case left == 0:
			return err
		}
		r.putSegment(j, left-1)
		return nil
	})
}

func (r *run) putManifest(j *world.Job, left int) error {
	list, o, err := r.Manifest(j)
	if err != nil {
		return err
	}
	again := func(err error) error {
		if left == 0 {
			return err
		}
		return r.putManifest(j, left-1)
	}
	put := func() {
		r.putObject(j, o, func(err error) error {
			if err != nil {
				return again(err)
			}
			r.jobEnds(j, nil)
			return nil
		})
	}
	if list.Key == "" {
		put()
		return nil
	}
	r.putObject(j, list, func(err error) error {
		if err != nil {
			return again(err)
		}
		put()
		return nil
	})
	return nil
}

// putObject stores an object of an archiver, and reads it back. It may be stored late, or not at all,
// and the archiver may receive no answer.
func (r *run) putObject(j *world.Job, o world.Object, then func(error) error) {
	takes := r.between(2*time.Millisecond, usual)
	if r.fault(r.config.Mix.LatePut) {
		r.counts.PutsLate++
		takes = r.between(300*time.Millisecond, 3*time.Second)
	}
	var failed error
	if r.fault(r.config.Mix.LosePut) {
		r.counts.PutsLost++
		failed = errPut
		r.Say("  ! %s gets no answer to its put of %s", j.By, o.Key)
	}
	if stored := takes / 2; failed == nil || r.chance(0.5) {
		if failed != nil && r.chance(0.5) {
			stored = r.between(0, 10*time.Second)
		}
		r.after(stored, func() { r.Archive.Put(o) })
	}
	r.jobStep(j, takes, func() error {
		if failed == nil && !r.Archive.Holds(o) {
			panic("an object is not as it was stored")
		}
		return then(failed)
	})
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
	return r.Archive == nil || r.checks.Unarchived() == 0 && r.checks.Archived().Sequence < r.Log.First+mostPurgeEntries
}

// endArchive checks that everything is archived and purged once faults have ended long ago.
func (r *run) endArchive() {
	if !r.settled() {
		r.Violated("%w", fmt.Errorf("archive: %d batches are not archived; the watermark is %d in generation %d, the history ends with entry %d, and the log begins with %d",
			r.checks.Unarchived(), r.Log.Watermark(), r.Generation, r.checks.Archived().Sequence, r.Log.First))
	}
}
