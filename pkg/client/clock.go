package client

import "time"

// standstill is how much too late a planned step must come to show that the process
// was stopped, or had no processor.
const standstill = time.Second

// clock is the time of a sender. It does not count time in which the process stood
// still: nothing could be heard in it, and the answers are waiting to be read.
type clock struct {
	lost time.Duration
	due  time.Time // of the next step, in real time; zero is none
}

// now returns the time, and notices a standstill.
func (c *clock) now() time.Time { return c.at(time.Now()) }

func (c *clock) at(wall time.Time) time.Time {
	if late := wall.Sub(c.due); !c.due.IsZero() && late > standstill {
		c.lost += late
	}
	c.due = time.Time{}
	return wall.Add(-c.lost)
}

// wall returns the time of day of a time of the clock.
func (c *clock) wall(t time.Time) time.Time { return t.Add(c.lost) }

// waits plans a step and returns how long it is until then.
func (c *clock) waits(now, until time.Time) time.Duration {
	wait := max(0, until.Sub(now))
	c.due = now.Add(c.lost + wait)
	return wait
}
