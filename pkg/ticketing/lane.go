package ticketing

import "time"

// Lane puts the staged results of one lane back into ticket order.
//
// The floor is compared as the highest one seen, never as the one that a
// message carries: a late message must not lower it. A number below the floor
// is resolved and never waited for. A result is kept after its release until
// the floor passes it, so that a lost release can be repeated.
//
// Forgetting a Lane is safe at any time: the next message about it carries a
// floor to start from, and the issuer stages again what is missing.
type Lane[R any] struct {
	floor    uint64
	next     uint64 // the lowest number not yet released
	waiting  map[uint64]held[R]
	released []held[R] // numbers [floor, next), in order
	heard    time.Time
}

// held is a result with the time at which it was staged, or last released.
type held[R any] struct {
	result R
	at     time.Time
}

// Turn is a result whose turn has come.
type Turn[R any] struct {
	Result R
	Number uint64
	Since  time.Time // when the result arrived; zero when it is released again
}

// Arrival says what a staged result was to the lane that took it.
type Arrival int

const (
	// Duplicate is a result whose number is known already, or resolved.
	Duplicate Arrival = iota
	// InTurn is a result that no earlier ticket holds back.
	InTurn
	// Early is a result that waits for an earlier ticket: its staging finished out of order.
	Early
)

// NewLane returns a lane that has just been heard of for the first time in a
// message with this floor.
func NewLane[R any](floor uint64, now time.Time) *Lane[R] {
	return &Lane[R]{floor: floor, next: floor, waiting: make(map[uint64]held[R]), heard: now}
}

// Staged takes a result and returns what may be released now, in ticket order.
// A number that was released before and is not resolved is released again;
// below the floor it is dropped.
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

// Advance takes the issuer's heartbeat: its floor and the highest number
// issued. It returns what is to be released, first or again (because it was
// released at least age ago and is still not resolved), and up to limit numbers
// that are issued but have not been staged here.
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

// Again returns what was released at least age ago, from number on, and is not
// resolved, in ticket order.
func (l *Lane[R]) Again(from uint64, now time.Time, age time.Duration) []Turn[R] {
	var turns []Turn[R]
	for n := max(from, l.floor); n < l.next; n++ {
		if now.Sub(l.released[n-l.floor].at) >= age {
			turns = append(turns, l.repeat(n, now))
		}
	}
	return turns
}

// Floor returns the highest floor seen.
func (l *Lane[R]) Floor() uint64 { return l.floor }

// Waiting returns the number of results that wait for an earlier ticket.
func (l *Lane[R]) Waiting() int { return len(l.waiting) }

// Idle says that the lane may be forgotten: everything released is resolved
// and nothing waits, or nothing has been heard of it since the given time (its
// issuer is gone).
func (l *Lane[R]) Idle(since time.Time) bool {
	return l.floor == l.next && len(l.waiting) == 0 || l.heard.Before(since)
}

// raise moves the floor up, drops what lies below it, and releases what no
// longer has to wait.
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
		clear(l.released[:resolved]) // or the array behind would keep them
		l.released = l.released[resolved:]
	}
	l.floor = floor
	return l.release(nil, now)
}

// release moves results from waiting to released while the next one is there.
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
	assert(uint64(len(l.released)) == l.next-l.floor, "all of [floor, next) is kept")
	return turns
}

func (l *Lane[R]) repeat(number uint64, now time.Time) Turn[R] {
	h := &l.released[number-l.floor]
	h.at = now
	return Turn[R]{Result: h.result, Number: number}
}
