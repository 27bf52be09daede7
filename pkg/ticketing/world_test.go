package ticketing_test

import (
	"container/heap"
	"time"

	"pgregory.net/rapid"

	"laneway.dev/pkg/ticketing"
)

// stageTimeout is how long the frontend of a world waits before it stages a missing
// batch again.
const stageTimeout = 5 * heartbeat

// chances are the probabilities of faults in percent, and the longest delay of a message.
type chances struct {
	drop, duplicate, cancel, forget int
	delay                           time.Duration
}

// batch is a batch that a producer has sent. order is its place in the lane, from 0.
type batch struct {
	lane      string
	order     int
	number    uint64
	staged    time.Time // when staging was last asked for
	cancelled bool
}

// world connects an issuer and its lanes by a network with faults, in virtual time. Its
// log applies the replicator's rules about tickets. The test fails when an invariant is
// broken.
type world struct {
	t       rapid.TB
	draw    func(n int) int // a number below n
	chances chances
	now     time.Time
	events  events
	next    int // breaks ties between events

	issuer     *ticketing.Issuer[*batch]
	published  map[string]int
	resolved   map[string]int
	sequencer  map[string]*laneState
	log        map[string]*laneLog
	publishing int // producers that have batches left
	early      int // results that waited
	stagings   int // requests to stage a batch
	repeats    int // repeated releases
}

// laneState is a lane, and what it has released since it was created.
type laneState struct {
	lane *ticketing.Lane[*batch]
	last uint64 // the highest number released; before any release, one below the initial floor
}

// laneLog is what the log holds of a lane.
type laneLog struct {
	floor, last uint64
	committed   map[uint64]*batch
	orders      []int
	asked       bool // a release was asked for again since the last append
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newWorld(t rapid.TB, c chances, draw func(n int) int) *world {
	return &world{
		t: t, draw: draw, chances: c, now: start,
		issuer:    ticketing.NewIssuer[*batch](),
		published: make(map[string]int), resolved: make(map[string]int),
		sequencer: make(map[string]*laneState), log: make(map[string]*laneLog),
	}
}

// run publishes this many batches on every lane. It returns when all of them are resolved
// and all lanes are forgotten.
func (w *world) run(lanes []string, batches int) {
	for _, lane := range lanes {
		w.log[lane] = &laneLog{committed: make(map[uint64]*batch)}
		w.publishing++
		w.after(w.delay(), func() { w.publish(lane, batches) })
	}
	w.after(heartbeat, w.beat)
	// Far more than any run needs, so a run that takes longer is stuck.
	end := w.now.Add(time.Duration(batches)*w.chances.delay + time.Hour)
	for w.events.Len() > 0 {
		e := heap.Pop(&w.events).(event)
		if w.now = e.at; w.now.After(end) {
			w.t.Fatalf("a ticket is never resolved: %+v", outstanding(w.issuer))
		}
		e.do()
	}
	w.checkEnd(lanes, batches)
}

func (w *world) chance(percent int) bool { return percent > 0 && w.draw(100) < percent }

func (w *world) delay() time.Duration {
	return time.Duration(1+w.draw(int(w.chances.delay/time.Millisecond))) * time.Millisecond
}

func (w *world) after(d time.Duration, do func()) {
	w.next++
	heap.Push(&w.events, event{w.now.Add(d), w.next, do})
}

// deliver delivers a message late, never, or twice.
func (w *world) deliver(do func()) {
	if w.chance(w.chances.drop) {
		return
	}
	w.after(w.delay(), do)
	if w.chance(w.chances.duplicate) {
		w.after(w.delay(), do)
	}
}

func (w *world) publish(lane string, left int) {
	if left == 0 {
		w.publishing--
		return
	}
	b := &batch{lane: lane, order: w.published[lane]}
	w.published[lane]++
	number, floor := w.issuer.Issue(lane, b)
	b.number = number
	w.stage(b, floor)
	if w.chance(w.chances.cancel) {
		w.after(w.delay(), func() {
			b.cancelled = true
			w.settle(b)
		})
	}
	w.after(w.delay()/8, func() { w.publish(lane, left-1) })
}

func (w *world) stage(b *batch, floor uint64) {
	w.stagings++
	b.staged = w.now
	w.deliver(func() { w.staged(b, floor) })
}

// lane returns the sequencer's state of the lane that a message names, and creates it if
// the sequencer does not know it or has lost it.
func (w *world) lane(name string, floor uint64) *laneState {
	s := w.sequencer[name]
	if s != nil && w.chance(w.chances.forget) {
		s = nil
	}
	if s == nil {
		s = &laneState{lane: ticketing.NewLane[*batch](floor, w.now), last: floor - 1}
		w.sequencer[name] = s
	}
	return s
}

func (w *world) staged(b *batch, floor uint64) {
	s := w.lane(b.lane, floor)
	turns, arrival := s.lane.Staged(b.number, floor, b, w.now)
	if arrival == ticketing.Early {
		w.early++
	}
	w.release(b.lane, s, turns)
}

func (w *world) release(lane string, s *laneState, turns []ticketing.Turn[*batch]) {
	for _, turn := range turns {
		n := turn.Number
		switch {
		case turn.Result.lane != lane || turn.Result.number != n:
			w.t.Fatalf("lane %s: %d is released with batch %+v", lane, n, turn.Result)
		case n < s.lane.Floor():
			w.t.Fatalf("lane %s: %d is released below the floor %d", lane, n, s.lane.Floor())
		case turn.Since.IsZero() && n > s.last:
			w.t.Fatalf("lane %s: %d is released again before it was released", lane, n)
		case !turn.Since.IsZero() && n <= s.last:
			w.t.Fatalf("I1, lane %s: %d is released for the first time after %d", lane, n, s.last)
		case n > s.last+1 && w.issuer.Floor(lane) < n:
			w.t.Fatalf("I2, lane %s: %d is released after %d, but the floor is %d", lane, n, s.last, w.issuer.Floor(lane))
		}
		if turn.Since.IsZero() {
			w.repeats++
		}
		s.last = max(s.last, n)
		floor := s.lane.Floor()
		for range 1 + w.draw(2)*w.chances.duplicate/100 {
			if !w.chance(w.chances.drop) {
				w.append(turn.Result, floor)
			}
		}
	}
}

// append applies the replicator's rules about tickets to a released batch.
func (w *world) append(b *batch, floor uint64) {
	l := w.log[b.lane]
	l.floor = max(l.floor, floor)
	switch {
	case l.committed[b.number] != nil:
	case b.number <= l.last:
		if w.issuer.Floor(b.lane) <= b.number {
			w.t.Fatalf("I2, lane %s: %d is refused for good after %d, but not resolved", b.lane, b.number, l.last)
		}
		return
	case b.number > l.last+1 && b.number != l.floor:
		if l.asked {
			return
		}
		l.asked = true
		from := l.last + 1
		w.deliver(func() {
			if s := w.sequencer[b.lane]; s != nil {
				w.release(b.lane, s, s.lane.Again(from, w.now, 0))
			}
		})
		return
	default:
		l.last, l.asked = b.number, false
		l.committed[b.number] = b
		l.orders = append(l.orders, b.order)
	}
	w.deliver(func() { w.settle(b) })
}

// settle is the frontend when it receives an outcome, or gives a ticket up.
func (w *world) settle(b *batch) {
	w.issuer.Settle(b.lane, b.number, func(first *batch) {
		if first.lane != b.lane || first.order != w.resolved[b.lane] {
			w.t.Fatalf("I4, lane %s: batch %d is answered after %d answers", b.lane, first.order, w.resolved[b.lane])
		}
		if !first.cancelled && w.log[first.lane].committed[first.number] != first {
			w.t.Fatalf("lane %s: batch %d is answered and not in the log", first.lane, first.order)
		}
		w.resolved[b.lane]++
	})
	for _, o := range outstanding(w.issuer) {
		if o.Lane == b.lane {
			return
		}
	}
	floor := w.issuer.Floor(b.lane)
	w.deliver(func() { w.advance(ticketing.Outstanding{Lane: b.lane, Floor: floor, Highest: floor - 1}) })
}

// beat is the heartbeat of the frontend. The sequencer forgets idle lanes at the same
// time.
func (w *world) beat() {
	for _, o := range outstanding(w.issuer) {
		w.deliver(func() { w.advance(o) })
	}
	for name, s := range w.sequencer {
		if s.lane.Idle(w.now.Add(-25 * heartbeat)) {
			delete(w.sequencer, name)
		}
	}
	if w.publishing > 0 || w.issuer.Outstanding() > 0 || len(w.sequencer) > 0 {
		w.after(heartbeat, w.beat)
	}
}

func (w *world) advance(o ticketing.Outstanding) {
	s := w.lane(o.Lane, o.Floor)
	turns, missing := s.lane.Advance(o.Floor, o.Highest, w.now, heartbeat, 50)
	w.release(o.Lane, s, turns)
	if len(missing) == 0 {
		return
	}
	w.deliver(func() {
		for _, n := range missing {
			if b, found := w.issuer.Find(o.Lane, n); found && w.now.Sub(b.staged) >= stageTimeout {
				w.stage(b, w.issuer.Floor(o.Lane))
			}
		}
	})
}

func (w *world) checkEnd(lanes []string, batches int) {
	if left := outstanding(w.issuer); w.issuer.Outstanding() != 0 || len(left) != 0 {
		w.t.Fatalf("%d tickets are left, in %+v", w.issuer.Outstanding(), left)
	}
	// A message after the last heartbeat may have created its lane again. That lane is silent.
	for name, s := range w.sequencer {
		if !s.lane.Idle(w.now.Add(1)) {
			w.t.Fatalf("lane %s is left: floor %d, %d waiting", name, s.lane.Floor(), s.lane.Waiting())
		}
	}
	for _, lane := range lanes {
		if w.resolved[lane] != batches {
			w.t.Fatalf("I3, lane %s: %d of %d batches are answered", lane, w.resolved[lane], batches)
		}
		for i, order := range w.log[lane].orders {
			if i > 0 && order <= w.log[lane].orders[i-1] {
				w.t.Fatalf("I1, lane %s: batch %d is after %d in the log", lane, order, w.log[lane].orders[i-1])
			}
		}
	}
}
