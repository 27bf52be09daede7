package fetch

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// LogState is the beginning and end of a log. If a part of the log is archived, the log begins in
// its history, and First and Begin are not used.
type LogState struct {
	First    uint64          // sequence of the first entry
	Begin    int64           // first offset of the log; 0 if the first entry is lost
	Last     uint64          // sequence of the last entry
	Readable uint64          // sequence of the last entry that can be read; Last unless there is damage
	Offset   int64           // after the last record that can be read
	Damage   *protocol.Error // of the entries after Readable; nil if there is none
	History  messages.History
}

// archived reports whether an entry is read from the history.
func (s *LogState) archived(sequence uint64) bool {
	return s.History.Archived() && sequence <= s.History.End.Sequence
}

// begins returns the state with the beginning of the log. Only the manifest says which entry is
// the first of a history, so First is then a sequence that is not above it.
func (s LogState) begins() LogState {
	h := &s.History
	if !h.Archived() {
		return s
	}
	s.First, s.Begin = 1, h.Start
	if h.Start == h.End.Offset {
		s.First = h.End.Sequence + 1 // no record of the history is left
	}
	return s
}

// Known is the state of a log as a frontend knows it.
type Known struct {
	LogState
	Valid   bool   // whether any state is known
	Renewed uint64 // how often the state was looked up after a disconnection
}

// LogEnd tracks the end of a log. All fetches of a partition share it. Commits, look-ups and
// the replicator's reports of damage change it, and arrive in any order. It is not safe for
// concurrent use.
type LogEnd struct {
	known       Known
	readOnly    *protocol.Error // what the log has lost, if its replicator reports it
	moves       uint64
	confirmedAt time.Time // when the state was last received or requested
}

// Known returns the known state, with damage that the replicator has reported.
func (e *LogEnd) Known() Known {
	known := e.known
	if known.Damage == nil {
		known.Damage = e.readOnly
	}
	return known
}

// Moves returns how often the known state has changed.
func (e *LogEnd) Moves() uint64 { return e.moves }

// Advance applies the state of a commit or a look-up. Both may arrive late, so a state is
// ignored unless its last sequence is above the known one.
func (e *LogEnd) Advance(now time.Time, to LogState) {
	e.confirmedAt = now
	if !e.known.Valid || to.Last > e.known.Last {
		e.move(to)
	}
}

func (e *LogEnd) move(to LogState) {
	if to.First == 0 {
		to.First, to.Begin = e.known.First, e.known.Begin
	}
	e.known.LogState, e.known.Valid = to, true
	e.moves++
}

// Renew applies the result of a look-up after a disconnection. moves MUST be the value of
// Moves before the look-up. A server that was restarted may have lost the end of the log, so
// Renew may also move the known end back, unless it has changed since the look-up started.
func (e *LogEnd) Renew(now time.Time, to LogState, moves uint64) {
	e.Advance(now, to)
	if e.moves == moves {
		e.move(to)
	}
	e.known.Renewed++
	e.moves++
}

// Forget makes the next state count also if it is below the known one, because the log may have lost its
// end in a disconnection. No fetch MUST be under way: Renew tells those that are.
func (e *LogEnd) Forget() { e.known.Valid = false }

// SetReadOnly applies the replicator's report of damage; nil if there is none.
func (e *LogEnd) SetReadOnly(damage *protocol.Error) {
	if (damage == nil) == (e.readOnly == nil) && (damage == nil || damage.Code == e.readOnly.Code) {
		return
	}
	e.readOnly = damage
	e.moves++
}

// Confirm reports whether the caller should look up the state: if none has arrived for a
// heartbeat, a Committed message may have been lost. Only one of many waiting fetches gets
// true.
func (e *LogEnd) Confirm(now time.Time, heartbeat time.Duration) bool {
	if now.Sub(e.confirmedAt) < heartbeat {
		return false
	}
	e.confirmedAt = now
	return true
}
