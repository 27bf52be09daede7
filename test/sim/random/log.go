package random

import (
	"errors"
	"slices"
	"time"

	"laneway.dev/internal/core/journal"
	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/world"
)

// Append implements world.Scheduler. The replicator waits for a while only. Its entry may land later.
func (r *run) Append(p *world.Process, of *world.Partition, a *replicator.Append) {
	b := r.Writer(p, of.Journal)
	id := r.AppendEntry(b, of, a.Expected, a.Data, func(done journal.Done) {
		r.after(r.between(0, longestHandover), func() {
			switch {
			case done.Err == nil:
				r.Result(p, of, replicator.Appended{Sequence: done.Sequence})
			case of.Deleted:
				r.Result(p, of, replicator.AppendFailed{Deleted: true})
			default:
				r.Result(p, of, replicator.AppendFailed{Moved: errors.Is(done.Err, journal.ErrMoved)})
			}
		})
	})
	r.after(appendTimeout, func() { r.awake(p, func() { r.Withdraw(b, id) }) })
}

// longestHandover is how long it takes at most until an actor has what the one of a journal has for it.
const longestHandover = 200 * time.Microsecond

// Read implements world.Scheduler.
func (r *run) Read(p *world.Process, of *world.Partition, what replicator.Read) {
	r.after(what.After+r.between(0, time.Millisecond), func() { r.awake(p, func() { r.readEntries(p, of, what, false) }) })
}

// readEntries reads entries of a log. With look, the journal is read to its end first: an entry was moved, or
// none is known.
func (r *run) readEntries(p *world.Process, of *world.Partition, what replicator.Read, look bool) {
	r.Find(r.Writer(p, of.Journal), of, what.From, what.Limit, look, func(found world.Run, exists bool) {
		switch {
		case found.Len() > 0:
			r.after(r.latency(), func() { // the journal may be purged meanwhile
				entries := r.Collect(of, found)
				r.awake(p, func() { r.entriesRead(p, of, what, found, entries) })
			})
		case !look:
			r.readEntries(p, of, what, true)
		case !exists:
			r.handOver(p, of, replicator.LogRead{Gone: true, Deleted: of.Deleted})
		default:
			r.confirmEnd(p, of, what, nil)
		}
	})
}

// entriesRead goes on with a read once it has entries.
func (r *run) entriesRead(p *world.Process, of *world.Partition, what replicator.Read, found world.Run, entries []messages.LoggedEntry) {
	switch {
	case len(entries) == 0:
		r.readEntries(p, of, what, true)
	case found.Ends(len(entries)):
		r.confirmEnd(p, of, what, entries)
	default:
		r.Result(p, of, replicator.LogRead{Entries: entries})
	}
}

// confirmEnd ends a read that has come to the end of a log, as far as that is known.
func (r *run) confirmEnd(p *world.Process, of *world.Partition, what replicator.Read, entries []messages.LoggedEntry) {
	r.Extent(r.Writer(p, of.Journal), of, true, func(end journal.State, exists bool) {
		if exists {
			r.handOver(p, of, world.ReadTo(what.From, entries, end))
		} else {
			r.after(retryPause, func() { r.awake(p, func() { r.readEntries(p, of, what, false) }) })
		}
	})
}

// handOver brings the end of a read from the actor of a journal to that of a log.
func (r *run) handOver(p *world.Process, of *world.Partition, read replicator.LogRead) {
	r.after(r.between(0, longestHandover), func() { r.Result(p, of, read) })
}

// Load implements world.Scheduler.
func (r *run) Load(p *world.Process, of *world.Partition) {
	r.after(time.Millisecond, func() {
		r.awake(p, func() {
			loaded := p.Loaded(of)
			r.counts.SnapshotStarts += len(loaded.(replicator.Loaded).Snapshots)
			if p.Unfounded(of) {
				r.counts.Unfounded++
			}
			r.Result(p, of, loaded)
		})
	})
}

// Mark implements world.Scheduler. A mark may come after its owner has died.
func (r *run) Mark(p *world.Process, of *world.Partition, m replicator.WriteMark) {
	r.counts.Marks++
	way := r.between(300*time.Microsecond, 5*time.Millisecond)
	if r.fault(r.config.Mix.LateAppend) {
		way = r.between(appendTimeout/2, 2*appendTimeout)
	}
	r.after(way, func() {
		result, written := of.Evidence.WriteMark(m)
		if !written {
			r.counts.MarksMoved++
		}
		r.after(r.between(200*time.Microsecond, 3*time.Millisecond), func() { r.Result(p, of, result) })
	})
}

// Scrub implements world.Scheduler.
func (r *run) Scrub(p *world.Process, of *world.Partition) {
	r.after(time.Second, func() { r.Result(p, of, replicator.Scrubbed{}) })
}

// Save implements world.Scheduler. A snapshot may be damaged, and is lost with its writer.
func (r *run) Save(p *world.Process, of *world.Partition, s *replicator.Save) {
	data := messages.EncodeSnapshot(s.Snapshot)
	r.after(r.between(time.Millisecond, 400*time.Millisecond), func() {
		if p.Dead {
			return
		}
		if r.fault(r.config.Mix.SaveFails) {
			r.saveFails(p, of, s, data)
			return
		}
		r.counts.Snapshots++
		r.SayOf(of, "  %s has stored a snapshot of entry %d", p, s.Sequence)
		k := of.Evidence.Store(s.Sequence, data)
		r.Proven(of, k, s)
		r.Result(p, of, replicator.Saved{Sequence: s.Sequence})
		if r.fault(r.config.Mix.SnapshotDamage) {
			r.counts.SnapshotsDamaged++
			r.SayOf(of, "  ! the snapshot of entry %d is damaged", s.Sequence)
			damaged := slices.Clone(data)
			damaged[r.rng.IntN(len(data))] ^= 1 << r.rng.IntN(8)
			r.Damage(of, k, damaged)
		}
	})
}
