package world

import (
	"bytes"
	"time"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	"laneway.dev/test/sim/check"
)

// Node is an entry of the log, with those before it. It never changes.
type Node struct {
	ID     int   // of a scheduler that keeps equal logs once
	Before *Node // nil is none
	Entry  messages.LoggedEntry
	Data   []byte    // as it was appended
	By     string    // the replicator
	At     time.Time // by the clock of the leader
}

// Log is the stream of a partition. Its leader accepts appends by compare-and-set, which
// makes them proposals, and commits them later. A new leader has everything that was
// committed, and a part of what was proposed.
type Log struct {
	// Committed has every entry that was ever committed, those that were purged too. The first
	// one was written by creation.
	Committed []*Node
	First     uint64 // sequence of the first entry that is not purged
	Proposed  []Proposal
	Term      int // counts leaders
	// Skew is that of the clock of the leader. Created is when the stream was created, by the clock of
	// the leader at that time.
	Skew    time.Duration
	Created time.Time
}

// Proposal is an append that its leader has accepted.
type Proposal struct {
	Data []byte
	By   string
}

// last returns the sequence of the newest entry that is proposed.
func (l *Log) last() uint64 { return uint64(len(l.Committed) + len(l.Proposed)) }

// Last returns the sequence of the newest entry that is committed.
func (l *Log) Last() uint64 { return uint64(len(l.Committed)) }

// Entries returns everything that was ever committed.
func (l *Log) Entries() []messages.LoggedEntry {
	entries := make([]messages.LoggedEntry, len(l.Committed))
	for i, n := range l.Committed {
		entries[i] = n.Entry
	}
	return entries
}

// holds reports whether an entry is committed as it is announced.
func (l *Log) holds(c *messages.Committed) bool {
	return c.Sequence > 0 && c.Sequence <= l.Last() && bytes.Equal(c.Entry, l.Committed[c.Sequence-1].Data)
}

// Propose lets the leader decide about an append. The leader refuses an append that expects
// another end of the log.
func (w *World) Propose(of *Partition, by string, expected uint64, data []byte) bool {
	if last := of.Log.last(); expected != last {
		w.SayOf(of, "  the log refuses an append of %s: it would be entry %d, and there are %d", by, expected+1, last)
		return false
	}
	of.Log.Proposed = append(of.Log.Proposed, Proposal{data, by})
	return true
}

// Commit commits the oldest proposal, and returns its sequence.
func (w *World) Commit(of *Partition) uint64 {
	l, p := &of.Log, of.Log.Proposed[0]
	l.Proposed = l.Proposed[1:]
	if len(l.Proposed) == 0 {
		l.Proposed = nil
	}
	sequence := l.Last() + 1
	n := w.scheduler.Node(of, Node{
		Before: l.Committed[sequence-2], Data: p.Data, By: p.By, At: w.LogClock(of),
		Entry: messages.LoggedEntry{Sequence: sequence, Entry: decodeEntry(p.Data)},
	})
	l.Committed = append(l.Committed, n)
	w.committed(of, n)
	return sequence
}

// NewLeader replaces the leader of the log. What is still proposed is lost.
func (l *Log) NewLeader() {
	l.Proposed = nil
	l.Term++
}

// LogClock returns what the clock of the leader of a log says.
func (w *World) LogClock(of *Partition) time.Time { return w.Now.Add(of.Log.Skew) }

// LogTime returns JetStream's times, for an owner that has asked for them.
func (l *Log) LogTime() replicator.LogTime {
	return replicator.LogTime{Last: l.Committed[l.Last()-1].At.UnixNano(), Created: l.Created.UnixNano()}
}

// History returns what the newest entry says is archived.
func (l *Log) History() messages.History { return l.Committed[len(l.Committed)-1].Entry.Entry.History }

// Purge removes the entries below a sequence.
func (w *World) Purge(of *Partition, below uint64) {
	if below <= of.Log.First {
		return
	}
	w.SayOf(of, "  the log is purged, and begins with entry %d", below)
	of.Log.First = below
	w.See(of.Index, check.Purged{First: below})
	w.snapshotsStay(of)
}

// Reading is what a replicator has read: the last entry of that, and how many there are.
type Reading struct {
	Last  *Node
	Count int
	End   uint64 // of the log
}

// Read returns what a replicator asked for. In the place of entries that were purged it returns
// those after them, as JetStream does.
func (l *Log) Read(r replicator.Read) Reading {
	end := l.Last()
	from := min(max(r.From, l.First), end+1)
	to := min(end, from-1+uint64(r.Limit))
	return Reading{l.Committed[to-1], int(to + 1 - from), end}
}

func (r Reading) logRead() replicator.LogRead {
	entries := make([]messages.LoggedEntry, r.Count)
	for i, n := r.Count-1, r.Last; i >= 0; i, n = i-1, n.Before {
		entries[i] = n.Entry
	}
	return replicator.LogRead{Entries: entries, AtEnd: r.Last.Entry.Sequence == r.End, Last: r.End}
}
