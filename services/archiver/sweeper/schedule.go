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

// comparisons says when the logs are compared with the records of sweeps: once each time that the lease was
// gained, and again after a pause if that failed. It belongs to one goroutine.
type comparisons struct {
	gained uint64 // how often the lease was gained before the last comparison that was made
	trying uint64 // the same of the last one that was tried
	at     time.Time
}

// due reports whether a comparison is due.
func (c *comparisons) due(now time.Time, holds bool, gained uint64) bool {
	if !holds || gained == c.gained || now.Before(c.at) {
		return false
	}
	c.trying = gained
	return true
}

// done notes whether the comparison that was due could be made.
func (c *comparisons) done(now time.Time, pause time.Duration, made bool) {
	if c.at = now.Add(pause); made {
		c.gained, c.at = c.trying, time.Time{}
	}
}
