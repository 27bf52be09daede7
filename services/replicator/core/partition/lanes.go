package partition

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
)

// lanes holds the state of the lanes of the highest frontend epoch. Lanes of lower epochs
// have ended: no ticket of theirs is accepted.
type lanes struct {
	byName map[string]*lane
	bytes  int // of the names
	// above is the highest ticket number of any lane that was evicted. An unknown lane
	// starts above it, so that no number is accepted twice. Example: lane "a" is evicted
	// after ticket 41, so above is 41. If a late copy of a/41 arrives, "a" is
	// created again with 41 as its highest number, and the copy is rejected.
	above uint64
	swept time.Time
}

// lane is the state of one lane. Its tickets are committed in the order of their numbers.
//
// Example: numbers 1 to 7 are committed, and the frontend has resolved those up to 5. Then
// floor is 6, and done has the offsets of 6 and 7, in case their outcomes were lost. With 8
// and 9 in the entry under way, seen is 9, logged is 7, and flight is 8 and 9.
type lane struct {
	seen        uint64    // highest number accepted, in flight or committed
	logged      uint64    // highest number settled or refused
	floor       uint64    // highest floor seen
	done        []done    // settled numbers at or above the floor, rising
	flight      []uint64  // numbers in flight, rising
	active      time.Time // of its last release
	requestedAt time.Time // when a missing release was last requested
}

// done is a settled ticket whose producer may not have been answered yet.
type done struct {
	number    uint64
	offset    int64
	duplicate bool
}

func newLanes() lanes { return lanes{byName: make(map[string]*lane)} }

func (s *lanes) len() int { return len(s.byName) }

func (s *lanes) reset() {
	clear(s.byName)
	s.bytes = 0
	s.above = 0
}

// hasRoom reports whether a lane is known or may be added.
func (s *lanes) hasRoom(name string, limits Settings) bool {
	return s.byName[name] != nil || len(s.byName) < limits.MaxLanes && s.bytes+len(name) <= limits.MaxNameBytes
}

// refuseUnknown makes the refusal of a ticket final whose lane is unknown and cannot be
// remembered for lack of room. It raises above, so all unknown lanes start above the
// number.
func (s *lanes) refuseUnknown(number uint64) { s.above = max(s.above, number) }

func (s *lanes) of(name string) *lane {
	l := s.byName[name]
	if l == nil {
		l = &lane{seen: s.above, logged: s.above}
		s.byName[name] = l
		s.bytes += len(name)
	}
	return l
}

// settle records the offset of a batch in the log, or of the original of a duplicate.
// Batches of older frontend epochs are left out, because their lanes have ended.
func (s *lanes) settle(p *pending, frontend uint64, now time.Time) {
	if p.epochs.Frontend != frontend {
		return
	}
	l := s.of(p.batch.Lane)
	n := p.batch.Number
	l.active = now
	l.drop(n)
	l.seen, l.logged = max(l.seen, n), max(l.logged, n)
	if n >= l.floor {
		l.done = append(l.done, done{n, p.offset, p.duplicate})
	}
}

// refuse makes a refusal final because it has been sent: the number is not accepted again,
// even if the batches in flight are rolled back.
func (s *lanes) refuse(name string, number uint64) {
	if l := s.byName[name]; l != nil {
		l.logged = max(l.logged, number)
	}
}

// refused makes the refusals of a log entry final, because an earlier owner may have sent
// them.
func (s *lanes) refused(all []messages.LaneNumbers, limits Settings, at time.Time) {
	for _, r := range all {
		for _, number := range r.Numbers {
			if !s.hasRoom(r.Lane, limits) {
				s.refuseUnknown(number)
				continue
			}
			l := s.of(r.Lane)
			l.active = at
			l.seen, l.logged = max(l.seen, number), max(l.logged, number)
		}
	}
}

// evict removes lanes that were idle since the given time. All of their tickets are
// resolved by then, because the time is longer than any produce deadline.
func (s *lanes) evict(idleSince time.Time) {
	const pause = 5 * time.Second // looking at millions of lanes takes a while
	if idleSince.Sub(s.swept).Abs() < pause {
		return
	}
	s.swept = idleSince
	for name, l := range s.byName {
		if len(l.flight) == 0 && l.active.Before(idleSince) {
			s.above = max(s.above, l.seen)
			delete(s.byName, name)
			s.bytes -= len(name)
		}
	}
}

// touch makes all lanes active now.
func (s *lanes) touch(now time.Time) {
	s.swept = now
	for _, l := range s.byName {
		l.active = now
	}
}

// rollBack drops the tickets in flight. The sequencer repeats their releases.
func (s *lanes) rollBack() {
	for _, l := range s.byName {
		l.seen = l.logged
		l.flight = nil
		l.requestedAt = time.Time{}
	}
}

// raise moves the floor up and drops the offsets below it: the frontend has resolved those
// tickets, so no release is repeated for them.
func (l *lane) raise(floor uint64) {
	if floor <= l.floor {
		return
	}
	l.floor = floor
	keep := 0
	for keep < len(l.done) && l.done[keep].number < floor {
		keep++
	}
	l.done = l.done[keep:]
}

// committed returns the settled ticket with a number. The search starts at the newest,
// because repeated releases are usually of recent tickets.
func (l *lane) committed(number uint64) (done, bool) {
	for i := len(l.done) - 1; i >= 0 && l.done[i].number >= number; i-- {
		if l.done[i].number == number {
			return l.done[i], true
		}
	}
	return done{}, false
}

// take puts a number into flight.
func (l *lane) take(number uint64) {
	l.seen = number
	l.flight = append(l.flight, number)
}

// drop removes a number from flight.
func (l *lane) drop(number uint64) {
	switch i, found := slices.BinarySearch(l.flight, number); {
	case found && i == 0:
		l.flight = l.flight[1:] // the usual case: they settle in order
	case found:
		l.flight = slices.Delete(l.flight, i, i+1)
	}
}

func (l *lane) inFlight(number uint64) bool {
	_, found := slices.BinarySearch(l.flight, number)
	return found
}
