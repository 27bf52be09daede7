package client

import (
	"testing"
	"time"
)

func TestTheClockOfASenderDoesNotCountAStandstill(t *testing.T) {
	var c clock
	wall := time.Unix(1000, 0)
	pass := func(d time.Duration) time.Time {
		wall = wall.Add(d)
		return c.at(wall)
	}
	begun := c.at(wall)
	c.waits(begun, begun.Add(5*time.Second))
	if now := pass(3 * time.Second); now.Sub(begun) != 3*time.Second {
		t.Errorf("an answer that comes in time: %s have passed", now.Sub(begun))
	}
	c.waits(begun.Add(3*time.Second), begun.Add(5*time.Second))
	if now := pass(2*time.Second + standstill); now.Sub(begun) != 5*time.Second+standstill {
		t.Errorf("a step that comes a little late: %s have passed", now.Sub(begun))
	}
	now := c.at(wall)
	c.waits(now, now.Add(time.Second))
	if after := pass(time.Hour); after.Sub(now) != time.Second {
		t.Errorf("a standstill of an hour: %s have passed", after.Sub(now))
	}
	if !c.wall(c.at(wall)).Equal(wall) {
		t.Error("the wall time is another one")
	}
}
