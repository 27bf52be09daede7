package client

import (
	"testing"
	"time"
)

func TestClockIgnoresStandstill(t *testing.T) {
	var c clock
	wall := time.Unix(1000, 0)
	pass := func(d time.Duration) time.Time {
		wall = wall.Add(d)
		return c.at(wall)
	}
	begin := c.at(wall)
	c.waits(begin, begin.Add(5*time.Second))
	if now := pass(3 * time.Second); now.Sub(begin) != 3*time.Second {
		t.Errorf("after an answer in time: %s have passed", now.Sub(begin))
	}
	c.waits(begin.Add(3*time.Second), begin.Add(5*time.Second))
	if now := pass(2*time.Second + standstill); now.Sub(begin) != 5*time.Second+standstill {
		t.Errorf("after a step that is a little late: %s have passed", now.Sub(begin))
	}
	now := c.at(wall)
	c.waits(now, now.Add(time.Second))
	if after := pass(time.Hour); after.Sub(now) != time.Second {
		t.Errorf("after a standstill of an hour: %s have passed", after.Sub(now))
	}
	if !c.wall(c.at(wall)).Equal(wall) {
		t.Error("the wall time has changed")
	}
}
