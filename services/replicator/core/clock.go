package core

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
)

// maxAhead is how far the time of the log may lie ahead of the owner's clock. Clocks
// of several machines, and a clock that is set back a little, are no further apart.
const maxAhead = time.Minute

// entryTime returns the time of the entry after one of the time last. Times rise, so
// that they can be looked up by binary search; only when the log is far ahead of the
// clock do they fall back to it. One of the two is wrong then, and the log must not
// carry the time of a wrong clock until that time has come.
func entryTime(last int64, now time.Time) (at int64, falls bool) {
	at = now.UnixNano()
	if last-at > maxAhead.Nanoseconds() {
		return at, true
	}
	return max(last, at), false
}

// stamp gives the entry that is about to be appended its time.
func (c *Core) stamp(now time.Time, n *messages.Entry) {
	at, falls := entryTime(c.lastTime, now)
	n.Time, n.RisingFrom = at, c.risingFrom
	if falls {
		n.RisingFrom = c.last + 1
	}
	c.flightTime, c.flightRising = n.Time, n.RisingFrom
}

// stamped makes the time of the entry that was appended that of the log.
func (c *Core) stamped() {
	if c.flightRising != c.risingFrom {
		c.stats.ClockFalls++
		c.stats.ClockFell = time.Duration(c.lastTime - c.flightTime)
		c.warn(fmt.Sprintf("the newest records carry a time that lies %s ahead of this machine's clock; later ones carry the time of this clock. "+
			"Compare the clocks of the machines that replicators run on, this one first", c.stats.ClockFell))
	}
	c.lastTime, c.risingFrom = c.flightTime, c.flightRising
}
