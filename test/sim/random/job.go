package random

import (
	"errors"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/test/sim/world"
)

var (
	errPut  = errors.New("the object store has not answered")
	errAway = errors.New("the object store cannot be read")
)

// tries is how often an archiver repeats what fails at the object store.
const tries = 4

// Job implements world.Scheduler. An archiver that hangs continues with its jobs later.
func (r *run) Job(p *world.Process, a messages.Archive) {
	r.counts.Jobs++
	if a.To == a.Base.End {
		r.counts.JobsDropping++
	}
	if r.fault(r.config.Mix.FreezeJob) {
		r.counts.JobsFrozen++
		r.hangs(p, r.between(300*time.Millisecond, longestHang))
	}
	j, err := world.NewJob(p, a)
	if err != nil {
		r.jobEnds(j, err)
		return
	}
	r.jobStep(j, r.between(time.Millisecond, 20*time.Millisecond), func() error {
		waiting, err := r.Base(j)
		if err != nil {
			return err
		}
		r.deleteWaiting(j, waiting)
		return nil
	})
}

// deleteWaiting deletes what waits in the manifest that a job builds on, and goes on with the job.
// Sometimes nothing is deleted, as while an alarm stands.
func (r *run) deleteWaiting(j *world.Job, waiting []string) {
	left, takes := waiting, time.Duration(0)
	if !r.fault(r.config.Mix.DeleteFails) {
		r.counts.WaitingDeleted += len(waiting)
		left, takes = r.deletes(waiting, func() bool { return !j.By.Dead })
	}
	r.jobStep(j, takes, func() error {
		j.Leave(left)
		return r.stored(j, tries, r.Drop, func() error {
			if j.Drops() {
				return r.putManifest(j)
			}
			r.readLog(j)
			return nil
		})
	})
}

// jobStep takes a step of a job, unless its archiver has died. An error ends the job.
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
			if r.damaged(r.PartitionOf(j.Archive.Partition), x) || r.Archive.Missing(x) {
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
		return r.putSegment(j)
	})
}

// stored takes a step of a job that returns an object, has the object stored, and goes on.
func (r *run) stored(j *world.Job, left int, step func(*world.Job) (world.Object, error), then func() error) error {
	o, err := step(j)
	if err != nil {
		return err
	}
	if o.Key == "" {
		return then()
	}
	r.putObject(j, o, func(err error) error {
		switch {
		case err == nil:
			return then()
		case left == 0:
			return err
		}
		return r.stored(j, left-1, step, then)
	})
	return nil
}

func (r *run) putSegment(j *world.Job) error {
	return r.stored(j, tries, r.Segment, func() error {
		r.counts.Merged += j.Merged
		return r.stored(j, tries, r.List, func() error {
			return r.stored(j, tries, r.Retain, func() error { return r.putManifest(j) })
		})
	})
}

func (r *run) putManifest(j *world.Job) error {
	return r.stored(j, tries, r.Manifest, func() error {
		r.counts.ListsCut += j.Cut
		r.jobEnds(j, nil)
		return nil
	})
}

// landsAgain lets a put land once more, now and then: the client of a store repeats a request that is not
// answered in time, and the object may have been deleted when the first one lands.
func (r *run) landsAgain(after time.Duration, key string, put func()) {
	if r.fault(r.config.Mix.LatePut) {
		r.after(after+r.between(0, longestPause), func() {
			r.counts.PutsAgain++
			r.Say("  ! a put of %s lands again", key)
			put()
		})
	}
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
		r.after(stored, func() { r.Put(o) })
		r.landsAgain(stored, o.Key, func() { r.Put(o) })
	}
	r.jobStep(j, takes, func() error {
		switch {
		case failed != nil || r.Archive.Holds(o):
		case r.Archive.Get(o.Key) == nil:
			failed = errPut // a sweep has deleted it
		default:
			panic("an object is not as it was stored")
		}
		return then(failed)
	})
}
