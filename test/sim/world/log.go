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

// Log is the log of a partition: what was committed to it. In a world with journals, its entries stand
// there, and Log shows what the sections of its partition mean, apart from the cores that read them.
type Log struct {
	// Committed has every entry that was ever committed, those that were purged too. The first
	// one was written by creation.
	Committed []*Node
	First     uint64 // sequence of the first entry that is not purged

	Gone   bool     // it was deleted
	begun  bool     // the journal has the first entry
	places []uint64 // of the groups that have the entries; nil in a world without journals
}

// Begun reports whether a journal has the first entry.
func (l *Log) Begun() bool { return l.begun }

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

// AppendTo appends an entry to a log that has a stream of its own, unless the log does not end with the
// expected entry.
func (w *World) AppendTo(of *Partition, by string, expected uint64, data []byte) (sequence uint64, appended bool) {
	if last := of.Log.Last(); expected != last {
		w.SayOf(of, "  the log refuses an append of %s: it would be entry %d, and there are %d", by, expected+1, last)
		return 0, false
	}
	return w.next(of, by, data), true
}

// next adds an entry to a log.
func (w *World) next(of *Partition, by string, data []byte) (sequence uint64) {
	l := &of.Log
	sequence = l.Last() + 1
	n := w.scheduler.Node(of, Node{
		Before: l.Committed[sequence-2], Data: data, By: by, At: w.LogClock(of),
		Entry: messages.LoggedEntry{Sequence: sequence, Entry: decodeEntry(data)},
	})
	l.Committed = append(l.Committed, n)
	w.committed(of, n)
	return sequence
}

// LogClock returns what the clock of the leader of a log says.
func (w *World) LogClock(of *Partition) time.Time {
	if of.Journal == nil {
		return w.Now
	}
	return w.Now.Add(of.Journal.Skew)
}

// LogTime returns JetStream's times, for an owner that has asked for them.
func (of *Partition) LogTime() replicator.LogTime {
	last := of.Log.Last()
	if of.Journal == nil {
		return replicator.LogTime{Last: of.Log.Committed[last-1].At.UnixNano(), Created: Beginning.UnixNano()}
	}
	return replicator.LogTime{Last: of.Journal.Groups[of.Log.places[last-1]-1].At.UnixNano(), Created: of.Journal.Created.UnixNano()}
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
