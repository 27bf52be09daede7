package ticketing

// Issuer hands out the tickets of one partition in one frontend epoch and
// keeps, for each outstanding ticket, a value of the caller's.
//
// Numbers of a lane are dense while the lane has tickets outstanding, unless it
// leaps (see Leap). A lane without any is forgotten at once; when it comes back,
// its numbers start above every number issued before on this partition, so no
// number is used twice and memory follows what is in flight, not who ever
// produced.
type Issuer[T any] struct {
	highest     uint64
	lanes       map[string]*queue[T]
	outstanding int
}

// queue holds the outstanding tickets of a lane: runs of dense numbers, rising.
// Only the last one may be empty, and only while the lane is being made.
type queue[T any] struct {
	runs []run[T]
	leap bool // the next ticket begins a run
}

// run holds tickets of dense numbers; tickets[0] has the number first.
type run[T any] struct {
	first   uint64
	tickets []slot[T]
}

type slot[T any] struct {
	value   T
	settled bool
}

// next returns the number that follows the run.
func (r *run[T]) next() uint64 { return r.first + uint64(len(r.tickets)) }

func (q *queue[T]) floor() uint64 { return q.runs[0].first }

func (q *queue[T]) last() *run[T] { return &q.runs[len(q.runs)-1] }

// Outstanding is a lane with unresolved tickets, as Lanes reports it.
type Outstanding struct {
	Lane    string
	Floor   uint64 // the lowest unresolved number
	Highest uint64 // the highest number issued
}

// NewIssuer returns an issuer whose first number is 1.
func NewIssuer[T any]() *Issuer[T] {
	return &Issuer[T]{lanes: make(map[string]*queue[T])}
}

// Issue takes the next ticket of a lane and returns its number and the lane's floor.
func (s *Issuer[T]) Issue(lane string, value T) (number, floor uint64) {
	q := s.lanes[lane]
	if q == nil {
		q = &queue[T]{leap: true}
		s.lanes[lane] = q
	}
	if q.leap {
		q.leap = false
		q.runs = append(q.runs, run[T]{first: s.highest + 1})
	}
	r := q.last()
	number = r.next()
	r.tickets = append(r.tickets, slot[T]{value: value})
	s.outstanding++
	s.highest = max(s.highest, number)
	return number, q.floor()
}

// Leap makes the lane's next number start above every number issued so far, as
// if the lane came back. What is skipped counts as resolved, so the tickets
// after it wait until all before it are resolved. It is for a lane whose ticket
// was refused because its number is too low for those who have forgotten the
// lane; a ticket that came before such a leap does not cause another.
func (s *Issuer[T]) Leap(lane string, refused uint64) {
	if q := s.lanes[lane]; q != nil && refused >= q.last().first {
		q.leap = true
	}
}

// Find returns the value of a ticket that is neither settled nor resolved.
func (s *Issuer[T]) Find(lane string, number uint64) (T, bool) {
	if t := s.slot(lane, number); t != nil && !t.settled {
		return t.value, true
	}
	var none T
	return none, false
}

// Settle says that the outcome of a ticket is known, and resolves every ticket
// at the head of the lane whose outcome is known: their values are handed to
// resolve in ticket order, which is the order in which answers must leave.
// Settling a ticket that is not outstanding, or twice, has no effect.
func (s *Issuer[T]) Settle(lane string, number uint64, resolve func(T)) {
	t := s.slot(lane, number)
	if t == nil || t.settled {
		return
	}
	t.settled = true
	q := s.lanes[lane]
	before := q.floor()
	for len(q.runs) > 0 && s.resolveRun(&q.runs[0], resolve) {
		assert(q.floor() > before || len(q.runs) == 1, "a floor never falls")
		q.runs[0] = run[T]{}
		q.runs = q.runs[1:]
	}
	if len(q.runs) == 0 {
		delete(s.lanes, lane)
	}
}

// resolveRun resolves the head of a run as far as outcomes are known; true if
// nothing is left of the run.
func (s *Issuer[T]) resolveRun(r *run[T], resolve func(T)) bool {
	for len(r.tickets) > 0 && r.tickets[0].settled {
		resolve(r.tickets[0].value)
		r.tickets[0] = slot[T]{}
		r.tickets = r.tickets[1:]
		r.first++
		s.outstanding--
	}
	assert(r.first <= s.highest+1, "a floor stays within what was issued")
	return len(r.tickets) == 0
}

// SettleAll settles every ticket and hands the values of all of them to resolve,
// in ticket order within each lane.
func (s *Issuer[T]) SettleAll(resolve func(T)) {
	for name, q := range s.lanes {
		for _, r := range q.runs {
			for i := range r.tickets {
				resolve(r.tickets[i].value)
			}
			s.outstanding -= len(r.tickets)
		}
		delete(s.lanes, name)
	}
}

// Outstanding returns the number of unresolved tickets.
func (s *Issuer[T]) Outstanding() int { return s.outstanding }

// Floor returns the lane's floor. For a lane without outstanding tickets it is
// the number that the lane's next ticket would have: everything is resolved.
func (s *Issuer[T]) Floor(lane string) uint64 {
	if q := s.lanes[lane]; q != nil {
		return q.floor()
	}
	return s.highest + 1
}

// Lanes calls visit for every lane with unresolved tickets and the values of
// those whose outcome is not known, in ticket order. visit must not settle.
func (s *Issuer[T]) Lanes(visit func(lane Outstanding, unsettled func(yield func(number uint64, value T) bool))) {
	for name, q := range s.lanes {
		lane := Outstanding{Lane: name, Floor: q.floor(), Highest: q.last().next() - 1}
		visit(lane, q.unsettled)
	}
}

// unsettled yields the tickets whose outcome is not known.
func (q *queue[T]) unsettled(yield func(uint64, T) bool) {
	for _, r := range q.runs {
		for i := range r.tickets {
			if !r.tickets[i].settled && !yield(r.first+uint64(i), r.tickets[i].value) {
				return
			}
		}
	}
}

func (s *Issuer[T]) slot(lane string, number uint64) *slot[T] {
	q := s.lanes[lane]
	if q == nil {
		return nil
	}
	for i := range q.runs {
		if r := &q.runs[i]; number >= r.first && number < r.next() {
			return &r.tickets[number-r.first]
		}
	}
	return nil
}
