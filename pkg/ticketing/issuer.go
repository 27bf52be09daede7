package ticketing

// Issuer hands out the tickets of one partition in one frontend epoch and
// keeps, for each outstanding ticket, a value of the caller's.
//
// Numbers of a lane are dense while the lane has tickets outstanding. A lane
// without any is forgotten at once; when it comes back, its numbers start above
// every number issued before on this partition, so no number is used twice and
// memory follows what is in flight, not who ever produced.
type Issuer[T any] struct {
	highest     uint64
	lanes       map[string]*queue[T]
	outstanding int
}

// queue holds the outstanding tickets of a lane; tickets[0] has the number floor.
type queue[T any] struct {
	floor   uint64
	tickets []slot[T]
}

type slot[T any] struct {
	value   T
	settled bool
}

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
		q = &queue[T]{floor: s.highest + 1}
		s.lanes[lane] = q
	}
	number = q.floor + uint64(len(q.tickets))
	q.tickets = append(q.tickets, slot[T]{value: value})
	s.outstanding++
	s.highest = max(s.highest, number)
	return number, q.floor
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
	before := q.floor
	for len(q.tickets) > 0 && q.tickets[0].settled {
		resolve(q.tickets[0].value)
		q.tickets[0] = slot[T]{}
		q.tickets = q.tickets[1:]
		q.floor++
		s.outstanding--
	}
	assert(q.floor >= before, "a floor never falls")
	if len(q.tickets) == 0 {
		assert(q.floor <= s.highest+1, "a floor stays within what was issued")
		delete(s.lanes, lane)
	}
}

// SettleAll settles every ticket and hands the values of all of them to resolve,
// in ticket order within each lane.
func (s *Issuer[T]) SettleAll(resolve func(T)) {
	for name, q := range s.lanes {
		for i := range q.tickets {
			resolve(q.tickets[i].value)
		}
		s.outstanding -= len(q.tickets)
		delete(s.lanes, name)
	}
}

// Outstanding returns the number of unresolved tickets.
func (s *Issuer[T]) Outstanding() int { return s.outstanding }

// Floor returns the lane's floor. For a lane without outstanding tickets it is
// the number that the lane's next ticket would have: everything is resolved.
func (s *Issuer[T]) Floor(lane string) uint64 {
	if q := s.lanes[lane]; q != nil {
		return q.floor
	}
	return s.highest + 1
}

// Lanes calls visit for every lane with unresolved tickets and the values of
// those whose outcome is not known, in ticket order. visit must not settle.
func (s *Issuer[T]) Lanes(visit func(lane Outstanding, unsettled func(yield func(number uint64, value T) bool))) {
	for name, q := range s.lanes {
		lane := Outstanding{Lane: name, Floor: q.floor, Highest: q.floor + uint64(len(q.tickets)) - 1}
		visit(lane, func(yield func(uint64, T) bool) {
			for i := range q.tickets {
				if !q.tickets[i].settled && !yield(q.floor+uint64(i), q.tickets[i].value) {
					return
				}
			}
		})
	}
}

func (s *Issuer[T]) slot(lane string, number uint64) *slot[T] {
	q := s.lanes[lane]
	if q == nil || number < q.floor || number-q.floor >= uint64(len(q.tickets)) {
		return nil
	}
	return &q.tickets[number-q.floor]
}
