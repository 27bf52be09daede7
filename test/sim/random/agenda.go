package random

import "time"

// event is something that is planned for a time. Events at the same time happen in the
// order in which they were planned.
type event struct {
	at    time.Duration // since the beginning
	order int
	do    func()
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

// agenda is a heap of events. It is typed, since most of what a run does is to plan.
type agenda struct {
	events []event
	order  int
}

func (a *agenda) push(at time.Duration, do func()) {
	a.order++
	e := event{at, a.order, do}
	a.events = append(a.events, e)
	i := len(a.events) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&a.events[parent]) {
			break
		}
		a.events[i] = a.events[parent]
		i = parent
	}
	a.events[i] = e
}

func (a *agenda) pop() event {
	first, last := a.events[0], len(a.events)-1
	e := a.events[last] // it takes the place of the first one, or one further down
	a.events[last] = event{}
	a.events = a.events[:last]
	i := 0
	for child := 1; child < last; child = 2*i + 1 {
		if child+1 < last && a.events[child+1].before(&a.events[child]) {
			child++
		}
		if !a.events[child].before(&e) {
			break
		}
		a.events[i] = a.events[child]
		i = child
	}
	if last > 0 {
		a.events[i] = e
	}
	return first
}
