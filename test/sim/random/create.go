package random

import (
	"time"

	"laneway.dev/internal/core/journal"
	"laneway.dev/test/sim/world"
)

// latestCreation is when a partition that does not exist from the beginning is created at the latest, and
// how long processes take at most to learn of that.
const latestCreation = 3 * time.Second

// createLater has the last of several partitions created during the run, except where batches are
// promised to be committed promptly: those that come before its replicator knows it are delayed.
func (r *run) createLater() {
	m := &r.config.Mix
	if n := len(r.Partitions); n > 1 && r.config.Late && !m.OneLane && !m.Repairs {
		of := r.Partitions[n-1]
		of.Created = false
		r.after(r.between(0, latestCreation), func() { r.create(of) })
	}
}

// create creates a partition: its record, and then its log. Processes learn of it in any order, and its
// clients begin.
func (r *run) create(of *world.Partition) {
	r.counts.Created++
	r.Create(of)
	r.beginLog(of)
	for _, p := range r.Processes {
		switch p.Role {
		case world.Frontend, world.Sequencer, world.Replicator:
			r.after(r.between(0, latestCreation), func() { r.Deliver(p, world.Added{Of: of.Index}) })
		}
	}
	for _, c := range r.clients {
		if c.Partition == of.Index {
			r.after(r.between(0, time.Second), func() { r.begin(c) })
		}
	}
}

// creationAttempt is after which time the log of a partition is begun by another frontend, if it was not
// begun before.
const creationAttempt = 2 * time.Second

// beginLog has the first entry of a log appended.
func (r *run) beginLog(of *world.Partition) {
	if of.Log.Begun() {
		return
	}
	if all := r.Living(world.Frontend); len(all) > 0 {
		p := pick(r, all)
		r.awake(p, func() { r.Begin(r.Writer(p, of.Journal), of, func(journal.Done) {}) })
	}
	r.after(creationAttempt, func() { r.beginLog(of) })
}
