package random

import (
	"time"

	"laneway.dev/internal/core/journal"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/world"
)

// Purge implements world.Scheduler: it trims a log. That may fail, and may be done although its owner is
// told that it has failed, even much later.
func (r *run) Purge(p *world.Process, of *world.Partition, what replicator.Purge) {
	takes := r.between(0, 20*time.Millisecond)
	if !r.fault(r.config.Mix.PurgeFails) {
		r.after(takes, func() { r.awake(p, func() { r.trim(p, of, what.Below, func(e world.Event) { r.Result(p, of, e) }) }) })
		return
	}
	r.counts.PurgesFailed++
	if r.chance(0.8) {
		r.counts.PurgesLate++
		r.after(r.between(0, 8*time.Second), func() { r.awake(p, func() { r.trim(p, of, what.Below, func(world.Event) {}) }) })
	}
	r.after(takes, func() { r.Result(p, of, replicator.PurgeFailed{Reason: "simulated"}) })
}

// trim has it appended that a log needs its entries only from a sequence on.
func (r *run) trim(p *world.Process, of *world.Partition, below uint64, then func(world.Event)) {
	b := r.Writer(p, of.Journal)
	r.Extent(b, of, true, func(state journal.State, exists bool) {
		r.after(r.between(0, longestHandover), func() {
			r.awake(p, func() {
				switch {
				case !exists || state.Last < below:
					then(replicator.PurgeFailed{Reason: "the log ends before"})
				case below <= state.First:
					then(replicator.Purged{Below: below})
				default:
					r.Trim(b, of, below, func(done journal.Done) {
						r.after(r.between(0, longestHandover), func() {
							if done.Err != nil {
								then(replicator.PurgeFailed{Reason: done.Err.Error()})
								return
							}
							then(replicator.Purged{Below: below})
							r.awake(p, func() { r.maybePurge(b) })
						})
					})
				}
			})
		})
	})
}

// maybePurge purges a journal if it is due. Each step may be delayed, and the process may die or hang at
// any time.
func (r *run) maybePurge(b *world.Writer) {
	u := b.PurgeDue()
	if u == nil {
		return
	}
	step := func(do func()) { r.after(r.between(0, 20*time.Millisecond), func() { r.awake(b.By, do) }) }
	step(func() {
		u.Plan()
		step(func() {
			r.Again(u, func() {
				step(func() {
					u.Plan()
					r.purge(u)
				})
			})
		})
	})
}

// purge has groups removed. A request may land much later.
func (r *run) purge(u *world.JournalPurge) {
	lands := r.between(0, 20*time.Millisecond)
	if r.fault(r.config.Mix.PurgeFails) {
		lands = r.between(0, 8*time.Second)
	}
	below := u.Below
	r.after(lands, func() {
		if r.PurgeJournal(u.By.Of, below) {
			r.counts.JournalPurges++
		}
	})
	r.after(purgePause, func() {
		u.Ended()
		r.awake(u.By.By, func() { r.maybePurge(u.By) })
	})
}
