package core

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// congestedTime is how long a log counts as congested after a report. The replicator repeats
// the report every heartbeat, and sends nothing when the congestion ends.
const congestedTime = time.Second

// rejectCongested answers a batch for a partition with a congested log, without a ticket. It
// reports whether the log is congested. Batches that have a ticket continue: their place in
// the order is fixed, and the log has room for them.
func (c *Core) rejectCongested(now time.Time, p Produce) bool {
	if !now.Before(c.congestedUntil) {
		return false
	}
	c.fx.Answers = append(c.fx.Answers,
		withoutTicket(p, protocol.Errorf(protocol.CodeOverloaded, "partition %s: %s", c.partition, c.congestion)))
	return true
}
