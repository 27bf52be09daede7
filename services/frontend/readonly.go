package frontend

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// readOnlyTime is for how long a partition counts as read-only after its replicator has
// said so. It says so every second.
const readOnlyTime = 5 * time.Second

// readOnly ends all tickets, because nothing is appended to a damaged log, and refuses
// what comes until the replicator has been silent about damage for a while.
func (c *Core) readOnly(now time.Time, damage string) {
	c.damage, c.readOnlyUntil = damage, now.Add(readOnlyTime)
	for _, t := range c.unsettled(func(*ticket) bool { return true }) {
		c.giveUp(t, "the partition is read-only, because "+damage)
	}
}

// refuses answers a batch of a read-only partition. It gets no ticket.
func (c *Core) refuses(now time.Time, p Produce) bool {
	if c.damage == "" {
		return false
	}
	if !now.Before(c.readOnlyUntil) {
		c.damage = ""
		return false
	}
	c.fx.Answers = append(c.fx.Answers, Answer{
		Request: p.Request, Lane: p.Lane, Records: p.Records, Payload: p.Payload,
		Error: protocol.Errorf(protocol.CodePartitionDamaged, "partition %s: %s", c.partition, c.damage),
	})
	return true
}
