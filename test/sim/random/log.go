package random

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/world"
)

// log is what happens to the log of a partition.
type log struct {
	settled  []func(sequence uint64) // called when a proposal is committed, in the order of proposals
	leaderAt time.Time               // when there is a leader again
	doomed   bool                    // the leader will be lost with what is proposed next
}

// Append implements world.Scheduler: it delivers an append to the log, and the answer to the
// replicator. Either may be lost. The append may also land after the replicator has stopped
// waiting for it.
func (r *run) Append(p *world.Process, of *world.Partition, a *replicator.Append) {
	settled := false
	once := func(e world.Event) {
		if !settled {
			settled = true
			r.Result(p, of, e)
		}
	}
	way := r.between(200*time.Microsecond, 3*time.Millisecond)
	if r.fault(r.config.Mix.LateAppend) {
		r.counts.LateAppends++
		way = r.between(appendTimeout/2, 2*appendTimeout)
		r.SayOf(of, "  ! an append of %s is late by %s", p, way.Round(time.Millisecond))
	}
	ackLost := r.fault(r.config.Mix.LoseAck)
	if ackLost {
		r.counts.AcksLost++
		r.SayOf(of, "  ! the acknowledgement of an append of %s will be lost", p)
	}
	back := func(e world.Event) { r.after(r.between(200*time.Microsecond, 3*time.Millisecond), func() { once(e) }) }
	by := p.Name
	r.after(way, func() {
		if r.Now.Before(r.logs[of.Index].leaderAt) {
			r.SayOf(of, "  ! an append of %s finds no leader of the log", by)
			return // it gets no answer
		}
		if !r.Propose(of, by, a.Expected, a.Data) {
			back(replicator.AppendFailed{Moved: true})
			return
		}
		r.proposed(of, func(sequence uint64) {
			if !ackLost {
				back(replicator.Appended{Sequence: sequence})
			}
		})
	})
	r.after(appendTimeout, func() { once(replicator.AppendFailed{}) })
}

// proposed plans the commit of a proposal. settled is called when the proposal is committed,
// and is not called if the leader is lost before that.
func (r *run) proposed(of *world.Partition, settled func(uint64)) {
	l := &r.logs[of.Index]
	l.settled = append(l.settled, settled)
	if l.doomed {
		l.doomed = false
		r.after(r.between(0, time.Millisecond), func() { r.newLeader(of) })
	}
	term := of.Log.Term
	r.after(r.between(300*time.Microsecond, 5*time.Millisecond), func() {
		if term == of.Log.Term && len(of.Log.Proposed) > 0 {
			r.commit(of)
		}
	})
}

// commit commits the oldest proposal.
func (r *run) commit(of *world.Partition) {
	l := &r.logs[of.Index]
	settled := l.settled[0]
	l.settled = l.settled[1:]
	settled(r.Commit(of))
}

// newLeader loses the leader. What is committed stays, and a part of what is proposed.
func (r *run) newLeader(of *world.Partition) {
	r.counts.LeaderChanges++
	keep, proposals := 0, len(of.Log.Proposed)
	if proposals > 0 {
		keep = r.rng.IntN(proposals + 1)
	}
	r.SayOf(of, "the log has a new leader; %d of %d proposals stay", keep, proposals)
	for range keep {
		r.commit(of)
	}
	of.Log.NewLeader()
	of.Log.Skew = r.clockError()
	l := &r.logs[of.Index]
	l.settled = nil
	r.counts.ProposalsLost += proposals - keep
	l.leaderAt = r.Now.Add(r.between(10*time.Millisecond, 1500*time.Millisecond))
}

// loseLeader loses the leader of a log now, or just after something has been proposed to it.
func (r *run) loseLeader() {
	of := r.some()
	if r.chance(0.9) {
		r.logs[of.Index].doomed = true
		return
	}
	r.newLeader(of)
}

// Read implements world.Scheduler.
func (r *run) Read(p *world.Process, of *world.Partition, what replicator.Read) {
	r.after(what.After+r.between(time.Millisecond, 5*time.Millisecond), func() { r.Result(p, of, of.Log.Read(what)) })
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
