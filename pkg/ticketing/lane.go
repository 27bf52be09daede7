package ticketing

import (
	"iter"
	"time"
)

// Lane returns the staged results of one lane to ticket order.
//
// Messages arrive late, repeated and in any order, so a Lane keeps the highest
// floor that it has seen and never lowers it. A number below the floor is
// resolved: it is not waited for, and its result is dropped. A result is kept
// after its release until the floor passes it, so that a release that was lost
// can be repeated.
//
// The caller may forget a Lane at any time. The next message about it carries
// the floor to start from, and the frontend stages again what Advance then
// reports as missing.
type Lane[R any] struct {
	floor    uint64 // the highest one seen
	next     uint64 // the lowest number that was not released
	waiting  map[uint64]held[R]
	released []held[R] // those of the numbers [floor, next), in order
	heard    time.Time // of the latest message
}

// held is a result. The time is when it was staged, or last released.
type held[R any] struct {
	result R
	at     time.Time
}

// Turn is a result that is to be released, because its turn has come.
type Turn[R any] struct {
	Result R
	Number uint64
	// Since is when the result was staged. The time until its release is what it
	// has waited for earlier tickets. It is zero if the release is repeated.
	Since time.Time
}

// Arrival is how a staged result relates to the turn of its lane.
type Arrival int

const (
	// Duplicate is a result whose ticket has a result already, or is resolved.
	Duplicate Arrival = iota
	// InTurn is a result that is released at once.
	InTurn
	// Early is a result that waits, because an earlier ticket is still being staged.
	Early
)

// NewLane returns a lane whose first message carries this floor. Everything
// below the floor is resolved, so the lane starts there.
func NewLane[R any](floor uint64, now time.Time) *Lane[R] {
	return &Lane[R]{floor: floor, next: floor, waiting: make(map[uint64]held[R]), heard: now}
}

// Staged handles the result of a ticket, from a message that carries floor. It
// returns the results to release, in ticket order: first those that a higher
// floor releases, then this one and those that waited directly behind it.
//
// If the ticket was released before and is not resolved, its earlier result is
// released again: the new message suggests that the release, or its outcome,
// was lost. The earlier result counts, because the log may refer to it.
func (l *Lane[R]) Staged(number, floor uint64, result R, now time.Time) ([]Turn[R], Arrival) {
	l.heard = now
	turns := l.raise(floor, now)
	if number < l.floor {
		return turns, Duplicate
	}
	if number < l.next {
		return append(turns, l.repeat(number, now)), Duplicate
	}
	if _, known := l.waiting[number]; known {
		return turns, Duplicate
	}
	arrival := InTurn
	if number > l.next {
		arrival = Early
	}
	l.waiting[number] = held[R]{result, now}
	return l.release(turns, now), arrival
}

// Advance handles a heartbeat of the frontend: the floor of the lane and the
// highest number that was issued on it. It returns:
//
//   - the results to release: first the unresolved ones whose last release was
//     at least age ago, again; then those that the floor releases.
//   - the missing numbers, at most limit of them: those that were issued and
//     have no result here. The upload of a missing batch may not have ended, so
//     the frontend decides whether to stage the batch again.
func (l *Lane[R]) Advance(floor, highest uint64, now time.Time, age time.Duration, limit int) (turns []Turn[R], missing []uint64) {
	l.heard = now
	turns = l.Again(floor, now, age)
	turns = append(turns, l.raise(floor, now)...)
	for n := l.next; n <= highest && len(missing) < limit; n++ {
		if _, known := l.waiting[n]; !known {
			missing = append(missing, n)
		}
	}
	return turns, missing
}

// Again returns, in ticket order, the unresolved results of the numbers at or
// above from that were released at least age ago. It sets the time of their
// release to now.
func (l *Lane[R]) Again(from uint64, now time.Time, age time.Duration) []Turn[R] {
	var turns []Turn[R]
	for n := max(from, l.floor); n < l.next; n++ {
		if now.Sub(l.released[n-l.floor].at) >= age {
			turns = append(turns, l.repeat(n, now))
		}
	}
	return turns
}

// Forget removes the result of a ticket if is accepts it, and reports whether it did. The ticket
// is then missing, as if it had never been staged. Results that were released after it wait for
// it again. The caller MUST know that the log neither has the result nor will take it: otherwise
// another result of the ticket could be appended as well.
func (l *Lane[R]) Forget(number uint64, is func(R) bool) bool {
	if h, known := l.waiting[number]; known {
		if !is(h.result) {
			return false
		}
		delete(l.waiting, number)
		return true
	}
	if number < l.floor || number >= l.next || !is(l.released[number-l.floor].result) {
		return false
	}
	for n := number + 1; n < l.next; n++ {
		l.waiting[n] = l.released[n-l.floor]
	}
	clear(l.released[number-l.floor:])
	l.released = l.released[:number-l.floor]
	l.next = number
	return true
}

// Floor returns the highest floor that the lane has seen.
func (l *Lane[R]) Floor() uint64 { return l.floor }

// Waiting returns the number of results that wait for an earlier ticket.
func (l *Lane[R]) Waiting() int { return len(l.waiting) }

// Results returns the results that the lane holds, in no particular order.
func (l *Lane[R]) Results() iter.Seq[R] {
	return func(yield func(R) bool) {
		for i := range l.released {
			if !yield(l.released[i].result) {
				return
			}
		}
		for _, h := range l.waiting {
			if !yield(h.result) {
				return
			}
		}
	}
}

// Idle reports whether the lane may be forgotten without cost: everything that
// was released is resolved and nothing waits, or no message about the lane has
// arrived since the given time. The frontend of a silent lane has ended: a live
// one sends a heartbeat for every lane whose tickets take long.
func (l *Lane[R]) Idle(since time.Time) bool {
	return l.floor == l.next && len(l.waiting) == 0 || l.heard.Before(since)
}

// raise raises the floor, drops the results below it, and returns those that
// need not wait any more. A floor that is not above the known one is ignored.
func (l *Lane[R]) raise(floor uint64, now time.Time) []Turn[R] {
	if floor <= l.floor {
		return nil
	}
	if floor >= l.next {
		clear(l.released)
		l.released = l.released[:0]
		for n := range l.waiting {
			if n < floor {
				delete(l.waiting, n)
			}
		}
		l.next = floor
	} else {
		resolved := floor - l.floor
		clear(l.released[:resolved]) // or the array would keep the results in memory
		l.released = l.released[resolved:]
	}
	l.floor = floor
	return l.release(nil, now)
}

// release moves results from waiting to released, as long as there is one for
// the next number.
func (l *Lane[R]) release(turns []Turn[R], now time.Time) []Turn[R] {
	for {
		h, ready := l.waiting[l.next]
		if !ready {
			break
		}
		delete(l.waiting, l.next)
		turns = append(turns, Turn[R]{h.result, l.next, h.at})
		l.released = append(l.released, held[R]{h.result, now})
		l.next++
	}
	assert(l.next >= l.floor, "next is never below the floor")
	assert(uint64(len(l.released)) == l.next-l.floor, "all results of [floor, next) are kept")
	return turns
}

// repeat returns a result that was released and is not resolved.
func (l *Lane[R]) repeat(number uint64, now time.Time) Turn[R] {
	h := &l.released[number-l.floor]
	h.at = now
	return Turn[R]{Result: h.result, Number: number}
}
