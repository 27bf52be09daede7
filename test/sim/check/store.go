package check

import (
	"laneway.dev/pkg/messages"
)

// Objects are deleted by sweeps, and by jobs whose base lists them as waiting. These checks promise that
// nothing is deleted that the log leads to, and that an entry leads to nothing that was deleted before.

// Deleted is an object that is gone from now on.
type Deleted struct{ Key string }

func (d Deleted) look(s *State) {
	s.counts.Deleted++
	if s.Reachable(d.Key) {
		s.violated("store: %s is deleted, and the log needs it", d.Key)
	}
	s.deleted.put(s, d.Key, true)
}

// Reachable reports whether the log leads to an object: by an entry that is not archived, or by its
// history.
func (s *State) Reachable(key string) bool {
	if s.leads[key] {
		return true
	}
	for i := len(s.frames) - 1; i >= 0 && s.frames[i].offset >= s.archived.End.Offset; i-- {
		if s.frames[i].extent.Key == key {
			return true
		}
	}
	return false
}

// needs checks that an object to which a new entry leads is there.
func (s *State) needs(e *messages.LoggedEntry, key string) {
	if s.deleted[key] {
		s.violated("store: entry %d leads to %s, which is deleted", e.Sequence, key)
	}
}
