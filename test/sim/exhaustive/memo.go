package exhaustive

import (
	"reflect"
	"time"

	"laneway.dev/pkg/messages"
)

// memo holds what was met in an exploration, each thing once, so that a world is a
// handful of pointers: it is copied, compared and named at little cost.
//
// The cores are pure. So a core runs once for each state that it was ever in and each
// event that ever came to it there; every other world in which the same happens to it
// goes on with what came of that.
type memo struct {
	walker    walker
	roots     map[any]*state
	states    map[fingerprint]*state
	letters   map[any]*letter
	appends   map[appending]*appending
	logs      map[logged]*logged
	checks    map[fingerprint]*checks
	sightings map[sighting]*checks
	branches  int // states and events: how often a core has run
}

func newMemo() *memo {
	return &memo{
		walker: newWalker(), roots: map[any]*state{}, states: map[fingerprint]*state{}, letters: map[any]*letter{},
		appends: map[appending]*appending{}, logs: map[logged]*logged{}, checks: map[fingerprint]*checks{}, sightings: map[sighting]*checks{},
	}
}

// machine is a core, or a client's window.
type machine interface {
	// step takes an event, nil is that time is noticed, and returns what is to be done. That
	// must share nothing with the machine, which goes on.
	step(m *memo, now time.Time, what any) *effects
}

// state is one that a machine can be in.
type state struct {
	id      int
	make    func() machine // of the state that a machine begins in
	from    *state         // of any other, with what led here
	by      event
	machine machine // in this state, until it is needed to go on
	next    map[event]branch
}

// event is what a machine is told, and when. Two that are equal are the same to it.
type event struct {
	beats int
	what  any
}

// branch is what comes of an event.
type branch struct {
	to *state
	fx *effects
}

// root returns the state in which a machine begins; what is made depends on the key only.
func (m *memo) root(key any, build func() machine) *state {
	s, known := m.roots[key]
	if !known {
		s = m.intern(&state{make: build, machine: build()})
		m.roots[key] = s
	}
	return s
}

// step returns what comes of an event in a state.
func (m *memo) step(s *state, e event) branch {
	if known, ok := s.next[e]; ok {
		return known
	}
	m.branches++
	machine := s.take(m)
	fx := machine.step(m, e.now(), e.what)
	b := branch{m.intern(&state{from: s, by: e, machine: machine}), fx}
	if s.next == nil {
		s.next = map[event]branch{}
	}
	s.next[e] = b
	return b
}

// take returns a machine in the state. It cannot be copied: where it has gone on
// already, another one takes the same way from the beginning.
func (s *state) take(m *memo) machine {
	if machine := s.machine; machine != nil {
		s.machine = nil
		return machine
	}
	if s.from == nil {
		return s.make()
	}
	machine := s.from.take(m)
	machine.step(m, s.by.now(), s.by.what)
	return machine
}

func (e event) now() time.Time { return beginning.Add(time.Duration(e.beats) * heartbeat) }

// intern returns the state that is known already, if there is one.
func (m *memo) intern(s *state) *state {
	name := m.walker.of(reflect.ValueOf(&s.machine))
	known, ok := m.states[name]
	if !ok {
		s.id = len(m.states) + 1
		m.states[name] = s
		return s
	}
	if known.machine == nil {
		known.machine = s.machine
	}
	return known
}

// letter is what is on its way: a message, or an answer for a client.
type letter struct {
	id     int
	data   string // encoded
	answer answer
}

func (m *memo) letter(message messages.Message) *letter {
	data := string(messages.Encode(message))
	return find(m.letters, any(data), func(id int) *letter {
		return &letter{id: id, data: data}
	})
}

func (m *memo) answer(a answer) *letter {
	return find(m.letters, any(a), func(id int) *letter { return &letter{id: id, answer: a} })
}

// message decodes a letter, anew each time: who gets it may keep it.
func (l *letter) message() messages.Message {
	message, err := messages.Decode([]byte(l.data))
	if err != nil {
		panic("a message cannot be read: " + err.Error())
	}
	return message
}

// find returns what is known under a key, or makes it.
func find[K comparable, V any](all map[K]V, key K, build func(id int) V) V {
	v, known := all[key]
	if !known {
		v = build(len(all) + 1)
		all[key] = v
	}
	return v
}
