package random

import (
	"errors"
	"time"

	"laneway.dev/internal/core/journal"
	"laneway.dev/test/sim/world"
)

const (
	// longestAttempt is how long a writer waits for the answer to an append at most, and retryPause the
	// pause before it does something again that has failed. An owner may wait longer or less long.
	longestAttempt = 3 * appendTimeout / 2
	retryPause     = heartbeat
	// purgePause is the time between two purges of a journal.
	purgePause = time.Second
)

// stream is what happens to a journal.
type stream struct {
	settled  []func(sequence uint64) // called when a proposal is committed, in the order of proposals
	leaderAt time.Time               // when there is a leader again
	doomed   bool                    // the leader will be lost with what is proposed next
}

var errAttempt = errors.New("the journal has not answered")

// AppendGroup implements world.JournalScheduler: it delivers a group to its journal, and the answer to the
// writer. Either may be lost. The group may also land after the writer has stopped waiting for it.
func (r *run) AppendGroup(b *world.Writer, n uint64, a *journal.Append) {
	by, j := b.By.Name, b.Of
	ended := func(e journal.Event) { r.awake(b.By, func() { r.Ended(b, n, e) }) }
	way := r.between(200*time.Microsecond, 3*time.Millisecond)
	if r.fault(r.config.Mix.LateAppend) {
		r.counts.LateAppends++
		way = r.between(appendTimeout/2, 2*appendTimeout)
		r.Say("  ! an append of %s to %s is late by %s", by, j, way.Round(time.Millisecond))
	}
	ackLost := r.fault(r.config.Mix.LoseAck)
	if ackLost {
		r.counts.AcksLost++
		r.Say("  ! the acknowledgement of an append of %s to %s will be lost", by, j)
	}
	back := func(e journal.Event) {
		r.after(r.between(200*time.Microsecond, 3*time.Millisecond), func() { ended(e) })
	}
	r.after(way, func() {
		if r.Now.Before(r.streams[j.Index].leaderAt) {
			r.Say("  ! an append of %s finds no leader of %s", by, j)
			return // it gets no answer
		}
		if !r.Propose(j, a.Expected, a.Group) {
			back(journal.AppendFailed{Moved: true})
			return
		}
		r.proposed(j, func(sequence uint64) {
			if !ackLost {
				back(journal.Appended{Sequence: sequence})
			}
		})
	})
	r.after(r.between(appendTimeout/2, longestAttempt)+retryPause, func() { ended(journal.AppendFailed{Err: errAttempt}) })
}

// proposed plans the commit of a proposal. settled is called when the proposal is committed,
// and is not called if the leader is lost before that.
func (r *run) proposed(j *world.Journal, settled func(uint64)) {
	s := &r.streams[j.Index]
	s.settled = append(s.settled, settled)
	if s.doomed {
		s.doomed = false
		r.after(r.between(0, time.Millisecond), func() { r.newLeader(j) })
	}
	term := j.Term
	r.after(r.between(300*time.Microsecond, 5*time.Millisecond), func() {
		if term == j.Term && len(j.Proposed) > 0 {
			r.commit(j)
		}
	})
}

// commit commits the oldest proposal.
func (r *run) commit(j *world.Journal) {
	s := &r.streams[j.Index]
	settled := s.settled[0]
	s.settled = s.settled[1:]
	if len(j.Proposed[0].Sections) > 1 {
		r.counts.Shared++
	}
	settled(r.Commit(j))
}

// newLeader loses the leader of a journal. What is committed stays, and a part of what is proposed.
func (r *run) newLeader(j *world.Journal) {
	r.counts.LeaderChanges++
	keep, proposals := 0, len(j.Proposed)
	if proposals > 0 {
		keep = r.rng.IntN(proposals + 1)
	}
	r.Say("%s has a new leader; %d of %d proposals stay", j, keep, proposals)
	for range keep {
		r.commit(j)
	}
	j.NewLeader(r.clockError())
	s := &r.streams[j.Index]
	s.settled = nil
	r.counts.ProposalsLost += proposals - keep
	s.leaderAt = r.Now.Add(r.between(10*time.Millisecond, 1500*time.Millisecond))
}

// loseLeader loses the leader of a journal now, or just after something has been proposed to it.
func (r *run) loseLeader() {
	j := pick(r, r.Journals)
	if r.chance(0.9) {
		r.streams[j.Index].doomed = true
		return
	}
	r.newLeader(j)
}

// ReadJournal implements world.JournalScheduler. Without a leader nobody knows the end of a journal.
func (r *run) ReadJournal(b *world.Writer, from uint64) {
	limit := 1 + r.rng.IntN(mostGroups)
	r.after(r.between(200*time.Microsecond, 3*time.Millisecond), func() {
		read := b.Of.Read(from, limit)
		if r.fault(r.config.Mix.Lose) || read.AtEnd && r.Now.Before(r.streams[b.Of.Index].leaderAt) {
			r.counts.ReadsFailed++
			r.after(retryPause, func() {
				r.awake(b.By, func() {
					r.StepWriter(b, journal.ReadFailed{Err: errAttempt})
					r.ReadJournal(b, from)
				})
			})
			return
		}
		r.after(r.between(200*time.Microsecond, 3*time.Millisecond), func() {
			r.awake(b.By, func() { r.StepWriter(b, read) })
		})
	})
}

// longestIgnorance is how long nobody looks at a journal at most, besides owners.
const longestIgnorance = time.Second

// inspect lets processes look at logs now and then, as for fetches and sweeps: those that they have known for
// long, and those that were deleted.
func (r *run) inspect() {
	r.after(r.between(0, longestIgnorance), func() {
		of, p := pick(r, r.Partitions), pick(r, r.Processes)
		if p.Role != world.Stager && p.Role != world.Sequencer {
			r.awake(p, func() { r.Extent(r.Writer(p, of.Journal), of, true, func(journal.State, bool) {}) })
		}
		r.inspect()
	})
}

// mostGroups is how many groups a read returns at most.
const mostGroups = 100
