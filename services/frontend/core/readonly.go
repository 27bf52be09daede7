package core

import (
	"time"

	"laneway.dev/pkg/messages"
)

// readOnlyTime is how long a partition counts as read-only after a report of damage. The
// replicator repeats the report every second, and sends nothing when the damage ends.
const readOnlyTime = 5 * time.Second

// readOnly ends all tickets, because a damaged log takes no appends. Requests are refused
// until readOnlyTime has passed without another report.
func (c *Core) readOnly(now time.Time, m messages.ReadOnly) {
	c.damage, c.readOnlyUntil = m, now.Add(readOnlyTime)
	for _, t := range c.unsettled(func(*ticket) bool { return true }) {
		c.abandonTicket(t, "the partition is read-only, because "+m.Damage)
	}
}

// rejectReadOnly answers a batch for a read-only partition, without a ticket. It reports
// whether the partition is read-only.
func (c *Core) rejectReadOnly(now time.Time, p Produce) bool {
	if c.damage.Damage == "" {
		return false
	}
	if !now.Before(c.readOnlyUntil) {
		c.damage = messages.ReadOnly{}
		return false
	}
	c.fx.Answers = append(c.fx.Answers, withoutTicket(p, c.damage.Err()))
	return true
}
