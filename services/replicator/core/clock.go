package core

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/partition"
)

// entryTime returns the time of the entry that follows one with the time last. Times do not
// fall, so that a time can be found by binary search. The exception is a log that is more
// than partition.MaxAhead ahead of the clock: one of the two is wrong, and the log must not repeat
// a wrong time until the clock reaches it. Example: the last entry has 12:00:30. At 12:00:10
// the next one has 12:00:30, too. At 11:00:00 it has 11:00:00, and falls is true.
func entryTime(last int64, now time.Time) (at int64, falls bool) {
	at = now.UnixNano()
	if last-at > partition.MaxAhead.Nanoseconds() {
		return at, true
	}
	return max(last, at), false
}

// stamp sets the time of an entry that is about to be appended. RisingFrom is the first
// entry from which on times do not fall: the lower bound for a binary search.
func (c *Core) stamp(now time.Time, n *messages.Entry) {
	at, falls := entryTime(c.lastTime, now)
	n.Time, n.RisingFrom = at, c.risingFrom
	if falls {
		n.RisingFrom = c.last + 1
	}
	c.flightTime, c.flightRising = n.Time, n.RisingFrom
}

// stamped makes the time of the appended entry the time of the log.
func (c *Core) stamped() {
	if c.flightRising != c.risingFrom {
		c.stats.ClockFalls++
		c.stats.ClockFell = time.Duration(c.lastTime - c.flightTime)
		c.warn(fmt.Sprintf("the newest records have a time %s ahead of this machine's clock; later records have the time of this clock. "+
			"Compare the clocks of the machines that run replicators, starting with this one", c.stats.ClockFell))
	}
	c.lastTime, c.risingFrom = c.flightTime, c.flightRising
}
