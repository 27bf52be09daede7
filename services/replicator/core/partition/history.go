package partition

import (
	"time"

	"laneway.dev/pkg/messages"
)

// HistoryWaiting reports whether an entry is to be appended for the history: one carries it, or
// retention needs JetStream's time.
func (c *Core) HistoryWaiting() bool { return c.archive.next != nil || c.archive.retention.entry }

// History returns what is archived, as the newest entry in the log has it.
func (c *Core) History() messages.History { return c.archive.history }

// Carried returns the history of the entry that is about to be appended.
func (c *Core) Carried() messages.History {
	switch a := &c.archive; {
	case a.next != nil:
		return *a.next
	case a.history.Archived():
		return a.history
	}
	return messages.History{}
}

// inLog counts an entry that stands in the log.
func (c *Core) inLog(e messages.Run) {
	a := &c.archive
	a.runs.add(e, a.history.End, a.jobEnd(), c.jobLimits())
}

// Created takes the history of the first entry of the log.
func (c *Core) Created(e *messages.LoggedEntry) {
	begin := e.Entry.BaseOffset - e.Entry.Gap
	c.archive.history = messages.History{Start: begin, End: messages.Position{Sequence: e.Sequence - 1, Offset: begin}}
	if e.Entry.History.Archived() { // it continues another log, and its sequences begin above all of that one
		c.archive.history = e.Entry.History
	}
}

// ReadHistory applies what an entry that was read says about the history. If that has moved,
// it returns the part of the log that is archived since, and true.
func (c *Core) ReadHistory(e *messages.LoggedEntry) (archived messages.Run, moved bool) {
	a, n := &c.archive, &e.Entry
	if h := n.History; h.Archived() && h != a.history && h.End.Sequence >= a.history.End.Sequence { // it never falls
		archived, moved = c.moveHistory(h), true
	}
	read := measure(n, 0)
	read.End = messages.Position{Sequence: e.Sequence, Offset: n.NextOffset()}
	c.inLog(read)
	return archived, moved
}

// moveHistory takes a history that stands in the log, and returns the part of the log that is
// archived since.
func (c *Core) moveHistory(h messages.History) (archived messages.Run) {
	a := &c.archive
	archived = a.runs.drop(h.End)
	a.history = h
	a.failures, a.failedAt = 0, time.Time{}
	return archived
}

// Carry notes that an entry is appended, with its length in the log. It has the history that
// Carried has returned.
func (c *Core) Carry(entry *messages.Entry, logBytes int64) {
	c.archive.flight = flight{measure(entry, logBytes), c.archive.next != nil}
	c.archive.retention.entry = false
}

// AppendedHistory counts the entry that was appended with this sequence. If it has moved the
// history, AppendedHistory returns the part of the log that is archived since, and true.
func (c *Core) AppendedHistory(sequence uint64) (archived messages.Run, moved bool) {
	a := &c.archive
	f := a.flight
	a.flight = flight{}
	if f.moves {
		archived, moved = c.moveHistory(*a.next), true
		a.job, a.next = nil, nil
		c.stats.Archives++
	}
	f.entry.End = messages.Position{Sequence: sequence, Offset: c.nextOffset}
	c.inLog(f.entry)
	return archived, moved
}
