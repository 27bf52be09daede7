package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// State is what results from a series of entries of a log, for a repair that continues the log
// without these entries. It is the state that an owner has after it has read them. It belongs to
// one goroutine.
type State struct {
	core  *Core
	now   time.Time
	owner string // of the last entry
	epoch uint64 // of the owner
}

// NewState returns the state after a snapshot, or without any entry if that is nil. Entries from
// the future count as if they were made now.
func NewState(id protocol.Partition, settings Settings, now time.Time, from *messages.Snapshot) *State {
	s := &State{core: NewCore(id, settings), now: now}
	if from != nil {
		s.core.restore(from)
		s.owner, s.epoch = from.Owner, from.OwnerEpoch
	}
	return s
}

// Apply adds an entry. Entries before it may be missing.
func (s *State) Apply(e *LoggedEntry) {
	if e.Entry.Owner != "" {
		s.owner, s.epoch = e.Entry.Owner, e.Entry.OwnerEpoch
	}
	s.core.apply(s.now, e)
}

// Snapshot returns the state as a snapshot of the last owner.
func (s *State) Snapshot() messages.Snapshot {
	made := s.core.snapshot()
	made.Owner, made.OwnerEpoch = s.owner, s.epoch
	return made
}
