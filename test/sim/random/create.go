package random

import (
	"time"

	"laneway.dev/internal/core/journal"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/world"
)

// latestCreation is when a partition that does not exist from the beginning is created at the latest, and
// how long processes take at most to learn of that.
const latestCreation = 3 * time.Second

// topics returns those of a run.
func topics(c *Config) []protocol.Topic {
	n := max(1, c.Partitions)
	if !c.deletes() {
		return []protocol.Topic{world.Topic(n, c.Logs)}
	}
	before, after := world.Recreated(c.Logs)
	return []protocol.Topic{world.Topic(n-2, c.Logs), before, after}
}

// promises reports whether batches are promised to be committed promptly: then no partition is created or
// deleted, because batches that come before its replicator knows it are delayed.
func (m *Mix) promises() bool { return m.OneLane || m.Repairs }

// deletes reports whether a partition is deleted.
func (c *Config) deletes() bool { return c.Delete && c.Partitions > 2 && !c.Mix.promises() }

// createLater has the last of several partitions created during the run, and perhaps the one before it deleted
// before that.
func (r *run) createLater() {
	n := len(r.Partitions)
	if r.config.deletes() {
		r.Partitions[n-1].Exists = false
		r.after(r.between(0, r.config.ActiveTime*2/3), func() { r.delete(r.Partitions[n-2], r.Partitions[n-1]) })
		return
	}
	if n > 1 && r.config.Late && !r.config.Mix.promises() {
		of := r.Partitions[n-1]
		of.Exists = false
		r.after(r.between(0, latestCreation), func() { r.create(of, latestCreation) })
	}
}

// create creates a partition: its record, and then its log. Processes learn of it within a while, in any
// order, and its clients begin.
func (r *run) create(of *world.Partition, within time.Duration) {
	r.counts.Created++
	r.Create(of)
	r.beginLog(of)
	for _, p := range r.Processes {
		switch p.Role {
		case world.Frontend, world.Sequencer, world.Replicator:
			r.after(r.between(0, within), func() { r.Deliver(p, world.Added{Of: of.Index}) })
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

// delete deletes a partition: its record, and then its log. Another one is created under its name soon after
// that, while many processes still have the first one. Clients and consumers of the first one end.
func (r *run) delete(of, next *world.Partition) {
	r.counts.PartitionsDeleted++
	r.DeleteTopic(of)
	for _, p := range r.Processes {
		switch p.Role {
		case world.Frontend, world.Sequencer, world.Replicator:
			r.after(r.between(0, latestCreation), func() { r.Deliver(p, world.Removed{Of: of.Index}) })
		}
	}
	for _, c := range r.clients {
		c.done = c.done || c.Partition == of.Index
	}
	for _, c := range r.consumers {
		if c.Partition == of.Index && !c.Ended {
			c.Ended = true
			r.after(r.between(0, time.Second), func() { r.startConsumer(c.slot) })
		}
	}
	r.after(r.between(0, latestCreation), func() { r.deleteLog(of) })
	r.after(r.between(0, latestCreation/4), func() { r.create(next, latestCreation/4) })
}

// deleteLog has a log deleted.
func (r *run) deleteLog(of *world.Partition) {
	if of.Log.Gone {
		return
	}
	if all := r.Living(world.Frontend); len(all) > 0 {
		p := pick(r, all)
		r.awake(p, func() { r.DeleteLog(r.Writer(p, of.Journal), of, func(journal.Done) {}) })
	}
	r.after(creationAttempt, func() { r.deleteLog(of) })
}
