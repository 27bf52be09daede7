package sim

import (
	"time"

	"laneway.dev/pkg/messages"
)

// log is the JetStream stream of the partition: a leader that compares and sets,
// and what is committed. A new leader begins with all that is committed and a part
// of what is only proposed.
type log struct {
	w         *world
	committed []messages.LoggedEntry
	data      [][]byte // of the committed entries, as they were appended
	proposed  []*proposal
	leaderAt  time.Time // when there is a leader again
	term      int       // counts leaders
	doomed    bool      // the leader will be lost with what is proposed next
}

type proposal struct {
	entry   messages.LoggedEntry
	data    []byte
	by      string
	settled func(sequence uint64)
}

// newLog returns a log with the entry that creation writes.
func newLog(w *world) *log {
	created := messages.Entry{TopicID: partition.TopicID, Created: true, Time: beginning.UnixNano()}
	return &log{
		w: w, committed: []messages.LoggedEntry{{Sequence: 1, Entry: created}}, data: [][]byte{messages.EncodeEntry(created)},
	}
}

func (l *log) last() uint64 { return uint64(len(l.committed) + len(l.proposed)) }

// propose is what a leader does with an append that reaches it. refused is called
// if somebody else was first, settled when the entry is committed, and nothing if
// the leader is lost on the way.
func (l *log) propose(by string, expected uint64, data []byte, settled func(uint64), refused func()) {
	if l.w.now.Before(l.leaderAt) {
		l.w.say("  ! an append of %s finds no leader of the log", by)
		return // nobody answers
	}
	if expected != l.last() {
		l.w.say("  the log refuses an append of %s: it is to be entry %d, and there are %d", by, expected+1, l.last())
		refused()
		return
	}
	entry, err := messages.DecodeEntry(data)
	if err != nil {
		l.w.violated("wire: an entry to append cannot be read: %v", err)
		return
	}
	l.proposed = append(l.proposed, &proposal{messages.LoggedEntry{Sequence: l.last() + 1, Entry: entry}, data, by, settled})
	if l.doomed {
		l.doomed = false
		l.w.after(l.w.between(0, time.Millisecond), l.newLeader)
	}
	term := l.term
	l.w.after(l.w.between(300*time.Microsecond, 5*time.Millisecond), func() {
		if term == l.term && len(l.proposed) > 0 {
			l.commit()
		}
	})
}

// commit commits the oldest proposal.
func (l *log) commit() {
	p := l.proposed[0]
	l.w.trace.committed(l.w.elapsed(), p)
	l.proposed = l.proposed[1:]
	l.committed = append(l.committed, p.entry)
	l.data = append(l.data, p.data)
	l.w.checks.committed(&l.committed[len(l.committed)-1], p.by)
	p.settled(p.entry.Sequence)
}

// newLeader loses the leader. What is committed stays.
func (l *log) newLeader() {
	l.w.counts.LeaderChanges++
	keep := 0
	if len(l.proposed) > 0 {
		keep = l.w.rng.IntN(len(l.proposed) + 1)
	}
	l.w.say("the log has a new leader; %d of %d proposals stay", keep, len(l.proposed))
	l.term++
	lost := l.proposed[keep:]
	for range keep {
		l.commit()
	}
	l.proposed = nil
	l.w.counts.ProposalsLost += len(lost)
	l.leaderAt = l.w.now.Add(l.w.between(10*time.Millisecond, 1500*time.Millisecond))
}

// loseLeader loses the leader now, or just after something has been proposed to it.
func (l *log) loseLeader() {
	if l.w.chance(0.9) {
		l.doomed = true
		return
	}
	l.newLeader()
}

// read returns entries from a sequence on.
func (l *log) read(from uint64, limit int) (entries []messages.LoggedEntry, atEnd bool) {
	end := uint64(len(l.committed))
	if from > end {
		return nil, true
	}
	to := min(end, from-1+uint64(limit))
	return l.committed[from-1 : to], to == end
}
