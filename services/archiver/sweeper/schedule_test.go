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

func TestLogsAreComparedOnceEachTimeTheLeaseIsGained(t *testing.T) {
	start := time.Now()
	var c comparisons
	for n, step := range []struct {
		at     time.Duration
		holds  bool
		gained uint64
		want   bool
		made   bool
	}{
		{0, false, 0, false, false},
		{1, true, 1, true, false}, // fails
		{2, true, 1, false, false},
		{11, true, 1, true, true},
		{12, true, 1, false, false},
		{40, false, 1, false, false},
		{41, true, 2, true, true}, // NATS was away
		{99, true, 2, false, false},
	} {
		now := start.Add(step.at * time.Second)
		got := c.due(now, step.holds, step.gained)
		if got != step.want {
			t.Errorf("step %d: due is %t", n, got)
		}
		if got {
			c.done(now, 10*time.Second, step.made)
		}
	}
}
