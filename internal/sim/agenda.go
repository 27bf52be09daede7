package sim

import "time"

// event is something that is to happen at a time. Of those at the same time the
// one that was planned first comes first.
type event struct {
	at    time.Time
	order int
	do    func()
}

func (e *event) before(o *event) bool {
	if c := e.at.Compare(o.at); c != 0 {
		return c < 0
	}
	return e.order < o.order
}

// agenda is a heap of events. It is typed, since most of what a run does is to plan.
type agenda struct {
	events []event
	order  int
}

func (a *agenda) push(at time.Time, do func()) {
	a.order++
	a.events = append(a.events, event{at, a.order, do})
	for i := len(a.events) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a.events[i].before(&a.events[parent]) {
			return
		}
		a.events[i], a.events[parent] = a.events[parent], a.events[i]
		i = parent
	}
}

func (a *agenda) pop() event {
	first, last := a.events[0], len(a.events)-1
	a.events[0], a.events[last] = a.events[last], event{}
	a.events = a.events[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if a.events[child].before(&a.events[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		a.events[i], a.events[least] = a.events[least], a.events[i]
		i = least
	}
}
