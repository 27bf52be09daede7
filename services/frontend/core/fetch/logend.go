package fetch

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// LogState is where a log begins and ends.
type LogState struct {
	First    uint64 // sequence of its first entry
	Begin    int64  // the offset at which the log begins; 0 if its first entry is lost
	Last     uint64 // of its last one
	Readable uint64 // of the last one that can be read, which is the last one unless there is damage
	Offset   int64  // after the last record that can be read
	Damage   *protocol.Error
}

// Known is what a frontend knows of the end of a log.
type Known struct {
	LogState
	Valid   bool   // whether anything is known
	Renewed uint64 // how often the state was looked up after a disconnection
}

// LogEnd keeps what a frontend knows of the end of a log. All fetches of a partition
// share it: commits, look-ups and the replicator's reports of damage move it. It is
// not safe for concurrent use.
type LogEnd struct {
	known       Known
	readOnly    *protocol.Error // what the log has lost, if its replicator reports it
	moves       uint64
	confirmedAt time.Time // when the state was last confirmed or asked for
}

// Known returns what is known. Damage that the replicator has reported is part of it.
func (e *LogEnd) Known() Known {
	known := e.known
	if known.Damage == nil {
		known.Damage = e.readOnly
	}
	return known
}

// Moves counts the changes of what is known.
func (e *LogEnd) Moves() uint64 { return e.moves }

// Advance takes the state of a commit or of a look-up. Both may be late, so a state
// with a lower last sequence than the known one changes nothing.
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

// Renew takes the state that a look-up after a disconnection has found; moves is what
// Moves returned before the look-up. A server that was restarted may have lost the
// end of the log, so the known state may also move back, unless something newer
// arrived meanwhile.
func (e *LogEnd) Renew(now time.Time, to LogState, moves uint64) {
	e.Advance(now, to)
	if e.moves == moves {
		e.move(to)
	}
	e.known.Renewed++
	e.moves++
}

// SetReadOnly takes the replicator's report of damage; nil if there is none.
func (e *LogEnd) SetReadOnly(damage *protocol.Error) {
	if (damage == nil) == (e.readOnly == nil) {
		return
	}
	e.readOnly = damage
	e.moves++
}

// Confirm reports whether the state should be looked up, because nothing was heard of
// it within the heartbeat: the message of a commit may have been lost. Of many fetches
// that wait, one is answered with true.
func (e *LogEnd) Confirm(now time.Time, heartbeat time.Duration) bool {
	if now.Sub(e.confirmedAt) < heartbeat {
		return false
	}
	e.confirmedAt = now
	return true
}
