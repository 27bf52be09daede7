package sweeper

import "time"

// schedule says when the next sweep is due. It belongs to one goroutine.
type schedule struct {
	interval time.Duration
	at       time.Time
	taken    uint64 // how often another sweeper had the lease, as of the last look
}

func newSchedule(interval time.Duration, now time.Time) schedule {
	return schedule{interval: interval, at: now.Add(interval)}
}

// due reports whether a sweep is due, and if so puts the next one off. A lease that has expired and was
// not taken meanwhile changes nothing: with a NATS server that stalls now and then, no sweep would
// ever be due.
func (s *schedule) due(now time.Time, holds bool, taken uint64) bool {
	if taken != s.taken {
		s.taken, s.at = taken, now.Add(s.interval) // the other one may just have raised the generation
	}
	if !holds || now.Before(s.at) {
		return false
	}
	s.at = now.Add(s.interval)
	return true
}
