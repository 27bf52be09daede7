package ticketing

// Issuer issues the tickets of one partition in one frontend epoch. It keeps a
// value of the caller's for each ticket until the ticket is resolved.
//
// A ticket is settled when its outcome is known, and resolved when every
// earlier ticket of its lane is settled too. Answers are sent when tickets are
// resolved, so they leave in ticket order.
//
// The numbers of a lane are dense while it has unresolved tickets, unless the
// lane leaps (see Leap). A lane without unresolved tickets is forgotten at
// once. When it comes back, its numbers start above every number issued on this
// partition. So no number is used twice, and the memory depends on the
// tickets in flight and not on the number of lanes that were ever used.
type Issuer[T any] struct {
	highest     uint64 // number issued so far, over all lanes
	lanes       map[string]*queue[T]
	oldest      *queue[T] // ends of the list of lanes; nil without lanes
	newest      *queue[T]
	outstanding int // unresolved tickets of all lanes
}

// queue holds the unresolved tickets of a lane: runs of dense numbers, rising.
// Only the last run may be empty, and only while the lane is being created.
//
// The queues form a list in the order in which their lanes were created,
// because maps have no order, and the order of effects must be deterministic.
// Adding and removing a lane takes constant time.
type queue[T any] struct {
	lane          string
	older, newer  *queue[T]
	runs          []run[T]
	startsNextRun bool // the next ticket starts a new run
}

// run holds tickets with dense numbers. The number of tickets[0] is base.
type run[T any] struct {
	base    uint64
	tickets []slot[T]
}

type slot[T any] struct {
	value   T
	settled bool
}

// end returns the number that follows the run.
func (r *run[T]) end() uint64 { return r.base + uint64(len(r.tickets)) }

func (q *queue[T]) floor() uint64 { return q.runs[0].base }

func (q *queue[T]) last() *run[T] { return &q.runs[len(q.runs)-1] }

// Outstanding is a lane with unresolved tickets, as Lanes reports it.
type Outstanding struct {
	Lane    string
	Floor   uint64 // the lowest unresolved number
	Highest uint64 // the highest number issued on this lane
}

// NewIssuer returns an issuer that has issued nothing. Its numbers start at 1.
func NewIssuer[T any]() *Issuer[T] {
	return &Issuer[T]{lanes: make(map[string]*queue[T])}
}

// Issue issues the next ticket of a lane. It returns the number of the ticket
// and the floor of the lane, which the messages about the batch carry.
func (s *Issuer[T]) Issue(lane string, value T) (number, floor uint64) {
	q := s.lanes[lane]
	if q == nil {
		q = s.create(lane)
	}
	if q.startsNextRun {
		q.startsNextRun = false
		q.runs = append(q.runs, run[T]{base: s.highest + 1})
	}
	r := q.last()
	number = r.end()
	r.tickets = append(r.tickets, slot[T]{value: value})
	s.outstanding++
	s.highest = max(s.highest, number)
	return number, q.floor()
}

// create adds a lane at the end of the list.
func (s *Issuer[T]) create(lane string) *queue[T] {
	q := &queue[T]{lane: lane, older: s.newest, startsNextRun: true}
	if s.newest == nil {
		s.oldest = q
	} else {
		s.newest.newer = q
	}
	s.newest = q
	s.lanes[lane] = q
	return q
}

// forget removes a lane from the list and the map.
func (s *Issuer[T]) forget(q *queue[T]) {
	if q.older == nil {
		s.oldest = q.newer
	} else {
		q.older.newer = q.newer
	}
	if q.newer == nil {
		s.newest = q.older
	} else {
		q.newer.older = q.older
	}
	delete(s.lanes, q.lane)
}

// Leap makes the next number of a lane start above every number issued so far,
// as if the lane had been forgotten and came back. The numbers that it skips
// count as resolved. The tickets after the leap wait for those before it.
//
// The caller leaps when a ticket was refused with NOT_COMMITTED. The replicator
// has then forgotten the lane, and would refuse every number as low as this one
// for as long as the lane lives. refused is the number of that ticket. If the
// lane has leapt since it issued that ticket, Leap has no effect: tickets that
// were in flight together are refused together, and one leap is enough.
func (s *Issuer[T]) Leap(lane string, refused uint64) {
	if q := s.lanes[lane]; q != nil && refused >= q.last().base {
		q.startsNextRun = true
	}
}

// Find returns the value of a ticket that is not settled.
func (s *Issuer[T]) Find(lane string, number uint64) (T, bool) {
	if t := s.slot(lane, number); t != nil && !t.settled {
		return t.value, true
	}
	var none T
	return none, false
}

// Settle records that the outcome of a ticket is known. It then resolves the
// settled tickets at the head of the lane, up to the lowest one that is not
// settled, and passes their values to resolve in ticket order. Answers must
// leave in this order.
//
// A ticket that is settled already, resolved, or was never issued is ignored,
// so a repeated or late outcome does no harm. resolve MUST NOT call the issuer.
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
		s.forget(q)
	}
}

// resolveRun resolves the settled tickets at the head of a run. It reports
// whether the run is empty afterwards.
func (s *Issuer[T]) resolveRun(r *run[T], resolve func(T)) bool {
	for len(r.tickets) > 0 && r.tickets[0].settled {
		resolve(r.tickets[0].value)
		r.tickets[0] = slot[T]{} // or the array would keep the value in memory
		r.tickets = r.tickets[1:]
		r.base++
		s.outstanding--
	}
	assert(r.base <= s.highest+1, "a floor is at most one above the highest number issued")
	return len(r.tickets) == 0
}

// SettleAll settles every ticket and passes all values to resolve: lane by lane
// in the order of Lanes, and in ticket order within a lane. The issuer is then
// empty, but never issues a number twice. resolve MUST NOT call the issuer.
func (s *Issuer[T]) SettleAll(resolve func(T)) {
	for q := s.oldest; q != nil; q = q.newer {
		for _, r := range q.runs {
			for i := range r.tickets {
				resolve(r.tickets[i].value)
			}
		}
	}
	clear(s.lanes)
	s.oldest, s.newest, s.outstanding = nil, nil, 0
}

// Outstanding returns the number of unresolved tickets of all lanes.
func (s *Issuer[T]) Outstanding() int { return s.outstanding }

// Floor returns the floor of a lane. Without unresolved tickets, everything
// that the lane has issued is resolved, and its floor is the number that its
// next ticket would have if it were issued now.
func (s *Issuer[T]) Floor(lane string) uint64 {
	if q := s.lanes[lane]; q != nil {
		return q.floor()
	}
	return s.highest + 1
}

// Lanes calls visit for every lane with unresolved tickets. unsettled iterates
// over the tickets of the lane that are not settled, in ticket order.
//
// The order of the lanes depends on the calls to the issuer only: the lane that
// has had unresolved tickets for the longest time comes first. A lane that was
// forgotten and came back is a new one in this order.
//
// visit MUST NOT issue or settle tickets.
func (s *Issuer[T]) Lanes(visit func(lane Outstanding, unsettled func(yield func(number uint64, value T) bool))) {
	for q := s.oldest; q != nil; q = q.newer {
		visit(Outstanding{Lane: q.lane, Floor: q.floor(), Highest: q.last().end() - 1}, q.unsettled)
	}
}

// unsettled yields the tickets whose outcome is not known.
func (q *queue[T]) unsettled(yield func(uint64, T) bool) {
	for _, r := range q.runs {
		for i := range r.tickets {
			if !r.tickets[i].settled && !yield(r.base+uint64(i), r.tickets[i].value) {
				return
			}
		}
	}
}

// slot returns an unresolved ticket, or nil. The search over runs is short: a
// lane has more than one run only after a leap.
func (s *Issuer[T]) slot(lane string, number uint64) *slot[T] {
	q := s.lanes[lane]
	if q == nil {
		return nil
	}
	for i := range q.runs {
		if r := &q.runs[i]; number >= r.base && number < r.end() {
			return &r.tickets[number-r.base]
		}
	}
	return nil
}
