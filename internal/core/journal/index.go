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
	"iter"
	"slices"
	"strings"

	"laneway.dev/pkg/messages"
)

// Index knows where the entries of all logs of a journal stand, as far as it has seen its groups.
// It takes about 16 bytes for each entry of the journal, which purging bounds. It belongs to one
// goroutine.
type Index struct {
	first   uint64 // sequence of the first group that was not purged, as far as that is known
	last    uint64 // sequence of the last group
	group   name   // of the last group; zero if it is lost
	logs    map[messages.LogID]*entries
	later   map[messages.LogID][]uint32 // by the id of the first incarnation: the others, which repairs make
	needed  int64                       // bytes of the entries of all logs
	only    bool                        // the last entry of each log is needed
	garbage int64                       // bytes of entries in the journal that are not needed any more
}

// name identifies a group.
type name struct {
	writer string
	number uint64
}

// entries are those of one log.
type entries struct {
	first  uint64   // sequence of the first one
	begun  bool     // the first one began the log
	places []uint64 // of the groups that have them; 0 for an entry that is lost
	sizes  []uint32 // of the entries, in bytes
	bytes  int64    // of all of them
	topic  string
	stage  messages.SectionStage
	// suspect means that groups were lost since the last entry was seen. The log may have
	// had entries in them. Its next entry shows whether it had.
	suspect bool
}

// State is the extent of a log.
type State struct {
	First, Last uint64 // sequences of its entries
	Begun       bool   // the entry at First began the log. Otherwise those before it were purged, or are lost
	Suspect     bool   // entries may have followed the last one, in groups that were lost

	Topic string
	Stage messages.SectionStage
	Bytes int64  // of its entries
	Group uint64 // that has the first entry; 0 if that is lost
}

// NewIndex returns the index of a journal of which no group was applied. The first one may have any
// sequence: the groups before it were purged.
func NewIndex() *Index {
	return &Index{logs: make(map[messages.LogID]*entries), later: make(map[messages.LogID][]uint32)}
}

func (l Limits) newIndex() *Index {
	x := NewIndex()
	x.only = l.LastOnly
	return x
}

// Last returns the sequence of the last group that was applied or is lost; 0 if there is none.
func (x *Index) Last() uint64 { return x.last }

// isAnother reports whether the last group that was applied is not this one.
func (x *Index) isAnother(g messages.Group) bool {
	return x.group != (name{}) && x.group != name{g.Writer, g.Number}
}

// State returns the extent of a log; false if the log is not known, or was deleted.
func (x *Index) State(id messages.LogID) (State, bool) {
	l := x.logs[id]
	if l == nil {
		return State{}, false
	}
	return l.state(), true
}

func (l *entries) state() State {
	return State{First: l.first, Last: l.last(), Begun: l.begun, Suspect: l.suspect, Topic: l.topic, Stage: l.stage, Bytes: l.bytes, Group: l.places[0]}
}

// Later returns the incarnations of a log above its own, in no particular order.
func (x *Index) Later(id messages.LogID) []uint32 {
	above := slices.Clone(x.later[firstOf(id)])
	return slices.DeleteFunc(above, func(incarnation uint32) bool { return incarnation <= id.Incarnation })
}

// firstOf returns the id of the first incarnation of a log.
func firstOf(id messages.LogID) messages.LogID {
	id.Incarnation = 0
	return id
}

func (x *Index) insert(id messages.LogID, l *entries) {
	x.logs[id] = l
	if id.Incarnation > 0 {
		x.later[firstOf(id)] = append(x.later[firstOf(id)], id.Incarnation)
	}
}

func (x *Index) remove(id messages.LogID) {
	delete(x.logs, id)
	if id.Incarnation == 0 {
		return
	}
	left := slices.DeleteFunc(x.later[firstOf(id)], func(incarnation uint32) bool { return incarnation == id.Incarnation })
	if x.later[firstOf(id)] = left; len(left) == 0 {
		delete(x.later, firstOf(id))
	}
}

// All returns the logs of the journal, and their extents.
func (x *Index) All() iter.Seq2[messages.LogID, State] {
	return func(yield func(messages.LogID, State) bool) {
		for id, l := range x.logs {
			if !yield(id, l.state()) {
				return
			}
		}
	}
}

// Places returns the sequences of the groups that have the entries of a log from a sequence on, at
// most so many, the sequence of the first of these entries, and their size. They have at most so many bytes
// together, unless the first one is larger. It leaves out entries that are lost, up to the first one that is
// not, and ends before the next one that is lost. The slice is valid until the next Apply.
func (x *Index) Places(id messages.LogID, from uint64, most int, bytes int64) (first uint64, places []uint64, size int64) {
	l := x.logs[id]
	if l == nil || from > l.last() {
		return 0, nil, 0
	}
	first = max(from, l.first)
	places = l.places[first-l.first:]
	for len(places) > 0 && places[0] == 0 {
		first, places = first+1, places[1:]
	}
	if lost := slices.Index(places, 0); lost >= 0 {
		places = places[:lost]
	}
	places = places[:min(len(places), most)]
	for i, n := range l.sizes[first-l.first:][:len(places)] {
		if i > 0 && size+int64(n) > bytes {
			return first, places[:i], size
		}
		size += int64(n)
	}
	return first, places, size
}

// Apply takes in the group at a sequence, which MUST be above that of the last one. The groups
// between the two are lost.
func (x *Index) Apply(sequence uint64, g messages.Group) {
	if sequence > x.last+1 {
		x.Lost(sequence - 1)
	}
	x.last, x.group = sequence, name{g.Writer, g.Number}
	for i := range g.Sections {
		x.apply(sequence, &g.Sections[i])
	}
}

// Lost takes in that the groups up to a sequence are lost.
func (x *Index) Lost(sequence uint64) {
	x.last, x.group = max(x.last, sequence), name{}
	for _, l := range x.logs {
		l.suspect = true
	}
}

func (x *Index) apply(place uint64, s *messages.Section) {
	l := x.logs[s.Log]
	switch {
	case s.Kind == messages.SectionDeleted:
		if l != nil {
			x.waste(l.bytes)
			x.remove(s.Log)
		}
	case l == nil:
		if s.Kind.HasEntry() {
			l = &entries{first: s.Sequence, begun: s.Kind == messages.SectionFirst || s.Sequence == 1}
			x.insert(s.Log, l)
			x.add(l, place, s)
		}
	case s.Kind == messages.SectionSealed:
		l.stage = messages.StageSealed
	case s.Kind == messages.SectionCopied:
		l.stage = messages.StageCopied
	case s.Kind == messages.SectionTrimmed:
		x.trim(l, s.Sequence)
	case s.Kind == messages.SectionNext, isAgain(s.Kind) && s.Sequence > l.last():
		x.next(l, place, s)
	case isAgain(s.Kind) && s.Sequence == l.last():
		x.garbage += int64(len(s.Entry))
		l.places[len(l.places)-1] = place
		l.suspect, l.stage = s.Kind == messages.SectionSuspect, s.Stage
	}
}

// isAgain reports whether a section is the last entry of its log once more.
func isAgain(k messages.SectionKind) bool {
	return k == messages.SectionAgain || k == messages.SectionSuspect
}

func (l *entries) last() uint64 { return l.first + uint64(len(l.places)) - 1 }

// next adds an entry. Those between it and the last one were in groups that are lost.
func (x *Index) next(l *entries, place uint64, s *messages.Section) {
	if s.Sequence <= l.last() {
		return // no writer does that
	}
	for l.last() < s.Sequence-1 {
		l.places, l.sizes = append(l.places, 0), append(l.sizes, 0)
	}
	x.add(l, place, s)
	if x.only {
		x.trim(l, s.Sequence)
	}
}

func (x *Index) add(l *entries, place uint64, s *messages.Section) {
	size := len(s.Entry)
	l.places, l.sizes = append(l.places, place), append(l.sizes, uint32(size))
	l.bytes += int64(size)
	x.needed += int64(size)
	if l.suspect, l.stage = s.Kind == messages.SectionSuspect, s.Stage; l.topic != s.Topic {
		l.topic = strings.Clone(s.Topic) // not a part of the group
	}
}

// waste takes in that so many bytes of entries are not needed any more.
func (x *Index) waste(bytes int64) {
	x.needed -= bytes
	x.garbage += bytes
}
