package partition

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
)

// lanes holds what is known of the lanes of the highest frontend epoch.
type lanes struct {
	byName map[string]*lane
	bytes  int // of the names
	// watermark is the highest number of any lane that was evicted: an unknown
	// lane starts above it, so that no number is ever accepted twice.
	watermark uint64
	swept     time.Time
}

// lane is what the log and the flight say of one lane.
type lane struct {
	seen   uint64   // highest number accepted, in flight or committed
	logged uint64   // highest number settled or refused
	floor  uint64   // highest floor seen
	done   []done   // settled numbers at or above the floor, rising
	flying []uint64 // numbers in flight, rising
	active time.Time
	asked  time.Time // when a repetition was last asked for
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
	s.watermark = 0
}

// hasRoom says whether a lane is known, or one more may be.
func (s *lanes) hasRoom(name string, limits Settings) bool {
	return s.byName[name] != nil || len(s.byName) < limits.MaxLanes && s.bytes+len(name) <= limits.MaxNameBytes
}

// refuseUnknown makes the refusal of a number of an unknown lane final, by
// starting all unknown lanes above it.
func (s *lanes) refuseUnknown(number uint64) { s.watermark = max(s.watermark, number) }

func (s *lanes) of(name string) *lane {
	l := s.byName[name]
	if l == nil {
		l = &lane{seen: s.watermark, logged: s.watermark}
		s.byName[name] = l
		s.bytes += len(name)
	}
	return l
}

// settle notes the offset of a batch that is in the log, or that a duplicate
// stands for. Batches of older frontend epochs leave no trace.
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

// refuse makes a refusal final that has left: the number is not accepted again
// when what was in flight is rolled back.
func (s *lanes) refuse(name string, number uint64) {
	if l := s.byName[name]; l != nil {
		l.logged = max(l.logged, number)
	}
}

// refused makes refusals of the log final: an owner before has told of them.
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

// evict forgets lanes that were idle since the given time. Everything of theirs
// is resolved by then, because the time is longer than any produce deadline.
func (s *lanes) evict(idleSince time.Time) {
	const pause = 5 * time.Second // looking at millions of lanes takes a while
	if idleSince.Sub(s.swept).Abs() < pause {
		return
	}
	s.swept = idleSince
	for name, l := range s.byName {
		if len(l.flying) == 0 && l.active.Before(idleSince) {
			s.watermark = max(s.watermark, l.seen)
			delete(s.byName, name)
			s.bytes -= len(name)
		}
	}
}

// touch makes all lanes active now. After a recovery their times are those of
// the log, and another machine's clock must not evict what may be unresolved.
func (s *lanes) touch(now time.Time) {
	s.swept = now
	for _, l := range s.byName {
		l.active = now
	}
}

// rollBack forgets what was in flight.
func (s *lanes) rollBack() {
	for _, l := range s.byName {
		l.seen = l.logged
		l.flying = nil
		l.asked = time.Time{}
	}
}

// raise moves the floor up and drops the offsets that nobody will ask for.
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

func (l *lane) committed(number uint64) (done, bool) {
	for i := len(l.done) - 1; i >= 0 && l.done[i].number >= number; i-- {
		if l.done[i].number == number {
			return l.done[i], true
		}
	}
	return done{}, false
}

// take notes that a number is in flight.
func (l *lane) take(number uint64) {
	l.seen = number
	l.flying = append(l.flying, number)
}

// drop notes that a number is no longer in flight.
func (l *lane) drop(number uint64) {
	switch i, found := slices.BinarySearch(l.flying, number); {
	case found && i == 0:
		l.flying = l.flying[1:] // the usual case: they settle in order
	case found:
		l.flying = slices.Delete(l.flying, i, i+1)
	}
}

func (l *lane) inFlight(number uint64) bool {
	_, found := slices.BinarySearch(l.flying, number)
	return found
}
