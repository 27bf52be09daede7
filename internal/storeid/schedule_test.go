package storeid

import (
	"fmt"
	"testing"
)

// Roles of a schedule, and the folders that they may have.
const (
	roles   = 3
	folders = 3
)

// world is a cluster, folders and roles that start on them. It is a value, so that a
// state that was reached before is known again.
type world struct {
	record   record
	revision int // of the record; 0: there is none
	markers  [folders]marker
	roles    [roles]role
}

// role is a role between two of its steps.
type role struct {
	folder int
	state  state
	looks  int // at record and marker; they name its ids
	read   int // revision of the record that was read
	found  record
	mark   marker // of its decision
	write  record
	writes bool // its decision writes the record
}

// state is what a role does next.
type state int

const (
	reading  state = iota // the record
	looking               // at the marker, and deciding
	refusing              // if the record is still the same
	marking
	writing
	done
	refused
)

// step returns the world after the next step of a role.
func (w world) step(n int) world {
	r := &w.roles[n]
	switch r.state {
	case reading:
		r.read, r.found, r.state = w.revision, w.record, looking
	case looking:
		w.decide(n)
	case refusing:
		if r.state = refused; r.read != w.revision {
			r.state = reading
		}
	case marking:
		if w.markers[r.folder] == (marker{}) {
			w.markers[r.folder] = r.mark
		}
		if r.state = reading; r.writes {
			r.state = writing
		}
	case writing:
		if r.read == w.revision {
			w.record, w.revision = r.write, w.revision+1
		}
		r.state = reading
	}
	return w
}

func (w *world) decide(n int) {
	r := &w.roles[n]
	r.looks++
	s := situation{place: fmt.Sprint(r.folder), fresh: fmt.Sprint("id ", n, r.looks)}
	if found := r.found; r.read > 0 {
		s.record = &found
	}
	if found := w.markers[r.folder]; found != (marker{}) {
		s.marker = &found
	}
	d := decide(s)
	r.found, r.mark, r.write, r.writes, r.state = record{}, marker{}, record{}, d.write != nil, reading
	if d.write != nil {
		r.write, r.state = *d.write, writing
	}
	switch {
	case d.mark != nil:
		r.mark, r.state = *d.mark, marking
	case d.refused != nil:
		r.state = refusing
	case d.done():
		r.state = done
	}
}

// explorer goes through all schedules. A role that dies is one that takes no more steps:
// every state is looked at as if all roles that are not done died there.
type explorer struct {
	t     *testing.T
	seen  map[world]bool
	later map[world][folders]int // of worlds without roles
}

func (e *explorer) explore(w world) {
	if e.seen[w] || e.t.Failed() {
		return
	}
	e.seen[w] = true
	e.check(w)
	for n, r := range w.roles {
		if r.state < done {
			e.explore(w.step(n))
		}
	}
}

// check compares the stores that are used, and those that roles could use which start later.
func (e *explorer) check(w world) {
	const none = -1
	used := none
	for _, r := range w.roles {
		if r.state == done && used != none && used != r.folder {
			e.t.Errorf("two stores are used: %+v", w)
		}
		if r.state == done {
			used = r.folder
		}
	}
	for _, r := range w.roles {
		if r.state == refused && r.folder == used {
			e.t.Errorf("a role with the right store is refused: %+v", w)
		}
	}
	w.roles = [roles]role{}
	if _, known := e.later[w]; !known {
		e.later[w] = e.restart(w)
	}
	for _, taken := range e.later[w] {
		if used != none && taken != used {
			e.t.Errorf("store %d is taken as well as %d: %+v", taken, used, w)
		}
	}
}

// restart lets a role start, alone, on each folder, in several orders of the folders. It
// returns the only one that is taken in each order.
func (e *explorer) restart(w world) (taken [folders]int) {
	for first := range folders {
		later, started := w, 0
		for n := range folders {
			folder := (first + n) % folders
			later.roles[0] = role{folder: folder, looks: 100 * (n + 1)}
			for steps := 0; later.roles[0].state < done && steps < 3*maxSteps; steps++ {
				later = later.step(0)
			}
			switch later.roles[0].state {
			case done:
				taken[first] = folder
				started++
			case refused:
			default:
				e.t.Errorf("a role that starts alone does not end: %+v", later)
			}
		}
		if started != 1 {
			e.t.Errorf("%d stores are taken: %+v", started, w)
		}
	}
	return taken
}

func TestRolesThatStartAndDieAtAnyStepUseOneStore(t *testing.T) {
	for _, at := range [][roles]int{{0, 0, 0}, {0, 0, 1}, {0, 1, 2}} {
		var w world
		for n := range w.roles {
			w.roles[n].folder = at[n]
		}
		e := &explorer{t: t, seen: make(map[world]bool), later: make(map[world][folders]int)}
		e.explore(w)
		t.Logf("folders %v: %d states", at, len(e.seen))
	}
}
