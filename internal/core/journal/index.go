// Package journal decides how the logs of many partitions share one stream, their journal: what
// its groups mean for each log, and which entries go into the next group. It is pure: groups and
// results come in, and what is to be appended and read goes out.
//
// A log is a sequence of entries with consecutive numbers, as if it had a stream of its own. Its
// entries stand in groups between those of other logs. A writer may append a group only if it knows
// all groups before it, which the compare-and-set on the last sequence of the journal ensures. So
// of several writers that want to append the same entry of a log, one succeeds.
//
// Example: the logs a and b end with their entries 7 and 2, and the journal with group 40. Entries
// of both wait, so group 41 has two sections: entry 8 of a and entry 3 of b. Another writer has
// meanwhile deleted b, in group 41. The append fails, the writer reads group 41, the entry of b is
// refused, and group 42 has entry 8 of a.
package journal

import (
	"laneway.dev/pkg/messages"
)

// Index knows where the entries of all logs of a journal stand, as far as it has seen its groups.
// It takes about 8 bytes for each entry of the journal, which purging bounds. It belongs to one
// goroutine.
type Index struct {
	last uint64 // sequence of the last group
	logs map[messages.LogID]*entries
}

// entries are those of one log.
type entries struct {
	first  uint64   // sequence of the first one
	places []uint64 // of the groups that have them; 0 for an entry that is lost
	sealed bool
	// suspect means that groups were lost since the last entry was seen. The log may have
	// had entries in them. Its next entry shows whether it had.
	suspect bool
}

// State is the extent of a log.
type State struct {
	First, Last uint64 // sequences of its entries
	Sealed      bool   // no entry may follow
	Suspect     bool   // entries may have followed the last one, in groups that were lost
}

// NewIndex returns the index of a journal of which no group was applied. The first one may have any
// sequence: the groups before it were purged.
func NewIndex() *Index { return &Index{logs: make(map[messages.LogID]*entries)} }

// Last returns the sequence of the last group that was applied or is lost; 0 if there is none.
func (x *Index) Last() uint64 { return x.last }

// State returns the extent of a log; false if the log is not known, or was deleted.
func (x *Index) State(id messages.LogID) (State, bool) {
	l := x.logs[id]
	if l == nil {
		return State{}, false
	}
	return State{First: l.first, Last: l.last(), Sealed: l.sealed, Suspect: l.suspect}, true
}

// Places returns the sequences of the groups that have the entries of a log from a sequence on, at
// most so many, with 0 for an entry that is lost. The slice is valid until the next Apply.
func (x *Index) Places(id messages.LogID, from uint64, most int) []uint64 {
	l := x.logs[id]
	if l == nil || from < l.first || from > l.last() {
		return nil
	}
	places := l.places[from-l.first:]
	return places[:min(len(places), most)]
}

// Apply takes in the group at a sequence, which MUST be above that of the last one. The groups
// between the two are lost.
func (x *Index) Apply(sequence uint64, g messages.Group) {
	if sequence > x.last+1 {
		x.Lost(sequence - 1)
	}
	x.last = sequence
	for i := range g.Sections {
		x.apply(sequence, &g.Sections[i])
	}
}

// Lost takes in that the groups up to a sequence are lost.
func (x *Index) Lost(sequence uint64) {
	x.last = max(x.last, sequence)
	for _, l := range x.logs {
		l.suspect = true
	}
}

func (x *Index) apply(place uint64, s *messages.Section) {
	l := x.logs[s.Log]
	if s.Kind == messages.SectionDeleted {
		delete(x.logs, s.Log)
		return
	}
	if l == nil {
		if s.Kind.HasEntry() {
			x.logs[s.Log] = &entries{first: s.Sequence, places: []uint64{place}}
		}
		return
	}
	switch s.Kind {
	case messages.SectionSealed:
		l.sealed = true
	case messages.SectionNext:
		l.next(place, s.Sequence)
	case messages.SectionAgain:
		l.again(place, s.Sequence)
	}
}

func (l *entries) last() uint64 { return l.first + uint64(len(l.places)) - 1 }

// next adds an entry. Those between it and the last one were in groups that are lost.
func (l *entries) next(place, sequence uint64) {
	if sequence <= l.last() {
		return // no writer does that
	}
	for l.last() < sequence-1 {
		l.places = append(l.places, 0)
	}
	l.places = append(l.places, place)
	l.suspect = false
}

// again moves the last entry. If it is not the last one that is known, entries before it are lost.
func (l *entries) again(place, sequence uint64) {
	if sequence > l.last() {
		l.next(place, sequence)
		return
	}
	if sequence == l.last() {
		l.places[len(l.places)-1] = place
		l.suspect = false
	}
}
