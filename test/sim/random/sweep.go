package random

import (
	"time"

	"laneway.dev/services/archiver/core/sweep"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

const (
	// longestPause is how long a sweep pauses at most between two of its steps. Many generations pass
	// meanwhile.
	longestPause = 15 * time.Second
	// calmSweeps is how many complete sweeps there are at least once faults have ended.
	calmSweeps = 3
	// calmInterval is the time between two sweeps of an archiver once faults have ended.
	calmInterval = 2 * time.Second
)

// sweeps lets an archiver sweep at intervals; once faults have ended, only while something is left to be
// done. All archivers sweep, as if none of them needed a lease.
func (r *run) sweeps(p *world.Process) {
	settings := sweep.Settings{Patience: r.between(0, 2*time.Second), FullEvery: r.between(0, 5*time.Second)}
	r.sweepLater(world.NewSweeper(p, settings), r.untilRaise())
}

func (r *run) sweepLater(s *world.Sweeper, in time.Duration) {
	r.after(in, func() {
		r.awake(s.By, func() {
			if r.calm && r.settled() {
				r.sweepLater(s, calmInterval)
				return
			}
			r.sweep(s, sweep.Start{})
		})
	})
}

// sweep takes the next step of a sweep. A step may be delayed for long, and its archiver may die or
// hang at any time.
func (r *run) sweep(s *world.Sweeper, e sweep.Event) {
	fx := r.SweepStep(s, e)
	if end, ended := fx.(sweep.End); ended {
		r.swept(s, end.Outcome)
		return
	}
	takes := r.between(time.Millisecond, 30*time.Millisecond) + world.Pause(fx)
	if r.fault(r.config.Mix.SweepPauses) {
		r.counts.SweepsPaused++
		takes += r.between(0, longestPause)
	}
	if d, is := fx.(sweep.Delete); is {
		r.after(takes, func() { r.awake(s.By, func() { r.sweepDeletes(s, d) }) })
		return
	}
	r.after(takes, func() {
		if s.By.Dead {
			return
		}
		result := r.sweepDoes(s, fx)
		r.after(r.between(0, 10*time.Millisecond), func() { r.awake(s.By, func() { r.sweep(s, result) }) })
	})
}

// sweepDoes carries out an effect.
func (r *run) sweepDoes(s *world.Sweeper, fx sweep.Effect) sweep.Event {
	if r.fault(r.config.Mix.HistoryAway) {
		return sweep.Failed{Reason: "simulated"}
	}
	switch fx := fx.(type) {
	case sweep.ReadRecords:
		return r.SweepRecords(s)
	case sweep.Raise:
		r.raiseGeneration()
		return sweep.Raised{Generation: r.Generation}
	case sweep.ReadLogs:
		return r.SweepLogs(fx.Logs)
	case sweep.ListLogs:
		return r.SweepList()
	case sweep.ReadManifests:
		return r.SweepManifests(fx.Keys)
	case sweep.StoreRecord:
		return r.storeRecord(s, fx)
	case sweep.List:
		s.BeginListing(fx.Ranges)
	}
	return r.SweepPage(s, 1+r.rng.IntN(8))
}

// storeRecord stores the record of a sweep and names it. Anything of that may be the last that its
// archiver does.
func (r *run) storeRecord(s *world.Sweeper, fx sweep.StoreRecord) sweep.Event {
	record := r.PutRecord(fx.Record)
	if r.fault(r.config.Mix.LosePut) {
		return sweep.Failed{Reason: "the record is not named"}
	}
	if err := r.NameRecord(s, record); err != nil {
		r.counts.SweepsOvertaken++
		return sweep.Failed{Reason: err.Error()}
	}
	if r.fault(r.config.Mix.DeleteFails) {
		return sweep.Failed{Reason: "earlier records are not deleted"}
	}
	r.RemoveRecords(fx.Obsolete...)
	return sweep.RecordStored{}
}

func (r *run) sweepDeletes(s *world.Sweeper, fx sweep.Delete) {
	keys := make([]string, len(fx.Objects))
	for i := range fx.Objects {
		keys[i] = fx.Objects[i].Key
	}
	r.counts.Swept += len(keys)
	left, takes := r.deletes(keys, func() bool { return !s.By.Dead })
	result := sweep.Deleted{Objects: int64(len(keys) - len(left))}
	if len(left) > 0 {
		result.Failed = "simulated"
	}
	r.after(takes, func() { r.awake(s.By, func() { r.sweep(s, result) }) })
}

// deletes deletes objects, one after the other while asked says so. It returns those whose deletion is
// said to have failed, and how long that takes. These may be deleted all the same, even much later.
func (r *run) deletes(keys []string, asked func() bool) (left []string, takes time.Duration) {
	for _, key := range keys {
		takes += r.between(0, 10*time.Millisecond)
		lands := takes
		if r.fault(r.config.Mix.DeleteFails) {
			left = append(left, key)
			if r.chance(0.5) {
				continue
			}
			r.counts.DeletesLate++
			lands += r.between(0, 10*time.Second)
		}
		r.after(takes, func() {
			switch {
			case !asked():
			case lands == takes:
				r.Delete(key)
			default:
				r.after(lands-takes, func() { r.Delete(key) })
			}
		})
	}
	return left, takes
}

// swept is the end of a sweep.
func (r *run) swept(s *world.Sweeper, o sweep.Outcome) {
	r.Say("  %s has swept what is below %d: %d objects; it has ended early because %q", s.By, o.Bound, o.Deleted, o.Reason)
	if o.Alarm != sweep.NoAlarm {
		r.Violated("sweep: a false alarm: %s", o.Reason)
	}
	if o.Reason == "" {
		r.counts.Sweeps++
		if o.Full {
			r.World.See(check.All, check.Swept{Began: s.Began, Bound: o.Bound})
		}
	} else {
		r.counts.SweepsEnded++
	}
	if !r.calm {
		r.sweepLater(s, r.untilRaise())
		return
	}
	if o.Reason == "" {
		r.calmSwept++
	}
	r.sweepLater(s, calmInterval)
}

// collected reports whether nothing is left in the store that nothing leads to and that is older than
// two generations.
func (r *run) collected() bool {
	return r.Generation == 0 || r.calmSwept >= calmSweeps && r.leftover() == ""
}

// leftover returns an object that is older than two generations and to which nothing leads; empty if
// there is none.
func (r *run) leftover() string {
	if r.Archive == nil {
		return ""
	}
	return r.Leftover(r.checks.Reachable)
}
