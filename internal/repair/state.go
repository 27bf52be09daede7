package repair

import (
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// State is what results from a series of entries of a log. The package of the owner of logs
// implements it.
type State interface {
	// Apply adds an entry.
	Apply(*messages.LoggedEntry)
	// Snapshot returns the state as a snapshot up to the last entry.
	Snapshot() messages.Snapshot
}

// stateMaker returns the state after a snapshot, or without any entry if that is nil.
type stateMaker func(protocol.Topic, protocol.Partition, *messages.Snapshot) State

// archivedState is the state after the archived entries of a log, as far as the stream still has
// them. They are not copied, but their batches decide about later ones.
//
// Example: a snapshot covers the log up to entry 400, and segments have the entries up to 500. The
// stream still has the entries from 400 on, because an owner that takes over needs them. The state
// is that of the snapshot and of the entries 401 to 500. The new log begins with an entry that
// ends where entry 500 does, and its snapshot covers that entry.
type archivedState struct {
	c        *copying
	make     stateMaker
	state    State // nil if nothing is archived, or if the snapshot covers later entries
	base     *messages.Snapshot
	none     bool // there is no snapshot that the log does not contradict
	finished bool
}

func newArchivedState(c *copying, base *messages.Snapshot, newState stateMaker) archivedState {
	s := archivedState{c: c, make: newState, base: base, none: base == nil}
	if c.history.Archived() && (base == nil || base.Sequence <= c.history.End.Sequence) {
		s.state = newState(c.topic, c.old, base)
	}
	return s
}

// entry handles an entry, and reports whether it is archived.
func (s *archivedState) entry(e *messages.LoggedEntry) bool {
	if !s.c.history.Archived() || e.Sequence > s.c.history.End.Sequence {
		s.finish()
		return false
	}
	switch {
	case s.state == nil:
	case s.base == nil || e.Sequence > s.base.Sequence:
		s.state.Apply(e)
	case e.Sequence == s.base.Sequence && !endsWith(s.base, e):
		// The snapshot contradicts the log.
		s.base, s.none = nil, true
		s.state = s.make(s.c.topic, s.c.old, nil)
		s.state.Apply(e)
	}
	return true
}

// finish is called after the last archived entry.
func (s *archivedState) finish() {
	if s.finished {
		return
	}
	s.finished = true
	if s.state != nil {
		s.c.made.start(s.state.Snapshot())
	}
}

// lost reports whether it is not known what producers had sent before the first entry of the stream.
func (s *archivedState) lost() bool { return s.none && (!s.c.begun || s.c.archived.diverged > 0) }
