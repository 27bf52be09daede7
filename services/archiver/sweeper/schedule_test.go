package sweeper

import (
	"testing"
	"time"
)

func TestSweepsAreDueAtIntervals(t *testing.T) {
	start := time.Now()
	s := newSchedule(time.Minute, start)
	for _, c := range []struct {
		name  string
		after time.Duration
		holds bool
		taken uint64
		due   bool
	}{
		{"at the start", 0, true, 0, false},
		{"before the interval", time.Minute - 1, true, 0, false},
		{"after the interval, without the lease", time.Minute, false, 0, false},
		{"the lease has only expired", time.Minute + 1, true, 0, true},
		{"right after a sweep", time.Minute + 2, true, 0, false},
		{"after a sweep", 2*time.Minute + 1, true, 0, true},
		{"another sweeper has had the lease", 4 * time.Minute, true, 3, false},
		{"an interval after that", 5 * time.Minute, true, 3, true},
	} {
		if got := s.due(start.Add(c.after), c.holds, c.taken); got != c.due {
			t.Errorf("%s: due is %v", c.name, got)
		}
	}
}
