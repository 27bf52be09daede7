package check

import (
	"time"

	"laneway.dev/pkg/messages"
)

// Objects are deleted by sweeps, and by jobs whose base lists them as waiting. These checks promise that
// nothing is deleted that the log leads to, that an entry leads to nothing that was deleted before, and
// that a sweep leaves nothing that it could have deleted.

// Put is an object that is in the store from now on. It may have been there before, and may have been
// deleted: a put that is repeated can land twice.
type Put struct{ Key string }

func (p Put) look(s *State) {
	if _, there := s.useless[p.Key]; !there {
		s.useless.put(s, p.Key, s.now)
	}
}

// Swept is the end of a complete sweep of all generations. Partitions compares it with all logs.
type Swept struct {
	Began time.Time
	Bound uint64
}

func (Swept) look(*State) {}

// leadsTo notes to what the history leads.
func (s *State) leadsTo(keys map[string]bool) {
	for key := range s.leads {
		if _, there := s.useless[key]; there && !keys[key] {
			s.useless.put(s, key, s.now)
		}
	}
	s.leads = keys
}

// Deleted is an object that is gone from now on.
type Deleted struct{ Key string }

func (d Deleted) look(s *State) {
	if s.Reachable(d.Key) {
		s.violated("store: %s is deleted, and the log needs it", d.Key)
	}
	s.deleted.put(s, d.Key, true)
	s.useless.drop(s, d.Key)
}

// Reachable reports whether the log leads to an object: by an entry that is not archived, or by its
// history.
func (s *State) Reachable(key string) bool {
	if s.removed {
		return false
	}
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
