package partition

import "time"

// clock is the time by which lanes and message ids are forgotten. In a term it is that of the owner.
// While entries are read it follows their times, see follow.
type clock struct {
	now  time.Time
	read time.Time // of the last entry that was read
}

// replayShare bounds how far one entry advances the clock while a log is read: by 1/replayShare of
// LaneExpiry, which MUST exceed messages.MaxDeadline by more than that.
const replayShare = 8

// follow advances the clock by an entry that is read. The times of a log are those of several clocks,
// which may have been set meanwhile. So a jump advances the clock by a limited time only: otherwise
// lanes would be evicted that were active a moment before it, and may have unresolved tickets.
func (c *clock) follow(at time.Time, expiry time.Duration) {
	if c.now.IsZero() {
		c.now, c.read = at, at
	}
	c.now = c.now.Add(max(0, min(at.Sub(c.read), expiry/replayShare)))
	c.read = at
}

// restart sets the clock at the beginning of a term. All lanes count as active now, and the windows of
// all message ids begin again: no lane that may have unresolved tickets, and no id whose batch may be
// sent again, may expire because of another machine's clock.
func (c *Core) restart(now time.Time) {
	c.clock = clock{now: now, read: now}
	c.lanes.touch(now)
	c.ids.touch(now)
}
