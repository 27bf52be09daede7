// Package stagerwatch decides which stagers are alive, from their announcements. It is pure:
// events are passed in.
//
// A stager announces itself every 500 ms. Example: of the stagers a and b, a is frozen at
// 12:00:00.0, right after an announcement. Rounds of 500 ms end at 12:00:00.3, 0.8, 1.3 and
// 1.8. In the first one a was heard, in the next three it was not. From 12:00:01.8 on only b
// is alive, and the batches that a has are staged by b once they have been silent for the
// stage timeout, 2 s.
package stagerwatch

import (
	"slices"
	"strings"
)

const (
	// silentRounds in a row without an announcement mean that a stager is not alive. Rounds
	// of 500 ms then take 1.5 to 2 s from the last announcement, which is not longer than the
	// default stage timeout: a batch that a frozen stager has is not sent there once more.
	// Rounds are counted rather than time, because a suspended frontend hears nothing. After
	// it continues, it must not take all stagers for dead.
	silentRounds = 3
	// mostStagers bounds the memory. Further stagers are ignored; they still get batches as
	// members of the queue group.
	mostStagers = 256
)

// The events of a Watch.
type (
	// Alive is the announcement of a stager.
	Alive struct{ Name string }
	// RoundEnds reports that another 500 ms have passed in which announcements could arrive.
	RoundEnds struct{}
)

// Watch decides which stagers are alive. The zero value knows none. It belongs to one
// goroutine.
type Watch struct {
	stagers []stager // sorted by name
}

// stager is a stager that is alive.
type stager struct {
	name   string
	heard  bool // in the current round
	missed int  // ended rounds in a row without an announcement
}

// Step handles one event and reports whether other stagers are alive than before.
func (w *Watch) Step(event any) (changed bool) {
	switch e := event.(type) {
	case Alive:
		return w.alive(e.Name)
	case RoundEnds:
		return w.roundEnds()
	}
	return false
}

func (w *Watch) alive(name string) (added bool) {
	at, known := slices.BinarySearchFunc(w.stagers, name, func(s stager, name string) int { return strings.Compare(s.name, name) })
	if !known {
		if name == "" || len(w.stagers) == mostStagers {
			return false
		}
		w.stagers = slices.Insert(w.stagers, at, stager{name: name})
	}
	w.stagers[at].heard = true
	return !known
}

func (w *Watch) roundEnds() (removed bool) {
	before := len(w.stagers)
	for i := range w.stagers {
		s := &w.stagers[i]
		if s.missed++; s.heard {
			s.missed = 0
		}
		s.heard = false
	}
	w.stagers = slices.DeleteFunc(w.stagers, func(s stager) bool { return s.missed >= silentRounds })
	return len(w.stagers) < before
}

// Live returns the names of the stagers that are alive, sorted, in a new slice.
func (w *Watch) Live() []string {
	names := make([]string, len(w.stagers))
	for i := range w.stagers {
		names[i] = w.stagers[i].name
	}
	return names
}
