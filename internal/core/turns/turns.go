// Package turns composes the cores of the partitions of one log into one core: it decides which
// of them take part in a turn, with which events, and in which order. It is pure, and knows
// nothing of what the cores decide.
//
// A core takes part in a turn in which an event for it has come, and in each beat as long as it
// is not idle. The cores of idle partitions cost no time at all, however many there are. In a group
// whose members rest, an idle core still has one of so many beats, see [Group.Rest].
package turns

import (
	"cmp"
	"slices"
	"time"

	"laneway.dev/pkg/protocol"
)

// Group is the cores of one log, of type C, whose events have type E. It belongs to one goroutine.
type Group[C, E any] struct {
	every   time.Duration
	beatAt  time.Time
	members map[protocol.Partition]*Member[C, E]
	last    *Member[C, E]   // that was called last: most often the next event is for it, too
	called  []*Member[C, E] // in the turn that comes, in the order of their first events
	active  []*Member[C, E] // those that are not idle, in the order in which they became active
	spare   [][]E           // memory of earlier turns

	began   time.Time         // the first beat
	resting [][]*Member[C, E] // all members, by the beat in which they take part although they are idle; nil if they do in none
	added   int               // members that ever were
}

// Member is the core of one partition.
type Member[C, E any] struct {
	ID   protocol.Partition
	Core C

	events  []E
	called  bool
	active  bool
	removed bool
	place   int // in its part of resting
	part    int
}

// NewGroup returns a group without members, which has a beat as often as given.
func NewGroup[C, E any](every time.Duration) *Group[C, E] {
	return &Group[C, E]{every: every, members: make(map[protocol.Partition]*Member[C, E])}
}

// Rest gives the members that are idle a beat as well: each of them in one of n beats that follow
// each other, so that about as many of them take part in each. Between two of these beats of a member
// are n times the time of a beat, also if beats are late. It MUST be called before Add and Turn.
func (g *Group[C, E]) Rest(n int) { g.resting = make([][]*Member[C, E], n) }

// Add adds the core of a partition. It takes part in the turn that comes.
func (g *Group[C, E]) Add(id protocol.Partition, core C) {
	m := &Member[C, E]{ID: id, Core: core}
	g.members[id] = m
	g.call(m)
	if n := len(g.resting); n > 0 {
		m.part = g.added % n
		m.place = len(g.resting[m.part])
		g.resting[m.part] = append(g.resting[m.part], m)
		g.added++
	}
}

// Remove removes a partition. Its core takes part in the turn that comes, with the events that have
// come for it, and in no later one.
func (g *Group[C, E]) Remove(id protocol.Partition) {
	if m := g.members[id]; m != nil {
		m.removed = true
		delete(g.members, id)
		g.last = nil
		g.call(m)
		g.unrest(m)
	}
}

// unrest gives a member that is removed no more beats.
func (g *Group[C, E]) unrest(m *Member[C, E]) {
	if len(g.resting) == 0 {
		return
	}
	part := g.resting[m.part]
	last := len(part) - 1
	part[m.place] = part[last]
	part[m.place].place = m.place
	part[last] = nil
	g.resting[m.part] = part[:last]
}

// Removed reports whether this is the last turn of the member.
func (m *Member[C, E]) Removed() bool { return m.removed }

// Call adds an event to those of a partition in the turn that comes. It returns false if there
// is no such partition.
func (g *Group[C, E]) Call(id protocol.Partition, event E) bool {
	m := g.Get(id)
	if m == nil {
		return false
	}
	g.call(m)
	if m.events == nil && len(g.spare) > 0 {
		m.events = g.spare[len(g.spare)-1]
		g.spare = g.spare[:len(g.spare)-1]
	}
	m.events = append(m.events, event)
	return true
}

// CallFirst is Call for an event that is handled before all others that have come for the partition.
func (g *Group[C, E]) CallFirst(id protocol.Partition, event E) bool {
	m := g.Get(id)
	if m == nil {
		return false
	}
	g.call(m)
	m.events = slices.Insert(m.events, 0, event)
	return true
}

// Get returns the member of a partition; nil if there is none.
func (g *Group[C, E]) Get(id protocol.Partition) *Member[C, E] {
	if g.last == nil || g.last.ID != id {
		g.last = g.members[id]
	}
	return g.last
}

func (g *Group[C, E]) call(m *Member[C, E]) {
	if !m.called {
		m.called = true
		g.called = append(g.called, m)
	}
}

// All returns the members, sorted by their partitions.
func (g *Group[C, E]) All() []*Member[C, E] {
	all := make([]*Member[C, E], 0, len(g.members))
	for _, m := range g.members {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *Member[C, E]) int {
		return cmp.Or(cmp.Compare(a.ID.TopicID, b.ID.TopicID), cmp.Compare(a.ID.Number, b.ID.Number), cmp.Compare(a.ID.Incarnation, b.ID.Incarnation))
	})
	return all
}

// Turn steps the members that were called, in the order of their first events, and, if a beat is
// due, those that are active, and those whose rest ends. step returns whether the member is idle
// afterwards, so that it needs no beat, or one in a while. It MUST NOT keep events.
func (g *Group[C, E]) Turn(now time.Time, step func(m *Member[C, E], events []E, beat bool) (idle bool)) {
	beat := now.Sub(g.beatAt) >= g.every
	if beat {
		for _, m := range g.active {
			g.call(m)
		}
		g.callResting(now)
		g.beatAt = now
	}
	called := g.called
	g.called = nil // a step may call a member of the next turn
	settled := false
	for _, m := range called {
		events := m.events
		m.called, m.events = false, nil
		idle := step(m, events, beat)
		g.keep(events)
		idle = idle || m.removed
		if !idle && !m.active {
			g.active = append(g.active, m)
		}
		settled = settled || idle && m.active
		m.active = !idle
	}
	if settled {
		g.active = slices.DeleteFunc(g.active, func(m *Member[C, E]) bool { return !m.active })
	}
	if len(g.called) == 0 {
		clear(called)
		g.called = called[:0]
	}
}

// callResting calls the members whose rest has ended since the last beat.
func (g *Group[C, E]) callResting(now time.Time) {
	n := int64(len(g.resting))
	if n == 0 {
		return
	}
	if g.beatAt.IsZero() {
		g.began, g.beatAt = now, now
	}
	from, to := int64(g.beatAt.Sub(g.began)/g.every), int64(now.Sub(g.began)/g.every)
	for i := max(from, to-n) + 1; i <= to; i++ {
		for _, m := range g.resting[i%n] {
			g.call(m)
		}
	}
}

// spareEvents bounds the memory that is kept for a slice of events.
const spareEvents = 1024

// keep keeps the memory of events for a later turn.
func (g *Group[C, E]) keep(events []E) {
	if n := cap(events); n > 0 && n <= spareEvents {
		clear(events)
		g.spare = append(g.spare, events[:0])
	}
}
