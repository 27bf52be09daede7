package core

import (
	"fmt"
	"time"

	"laneway.dev/internal/core/ordered"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/pkg/ticketing"
)

// refused handles refusals of a stager. If it was busy, the batch is staged again by another
// one, after a pause that grows with each refusal, up to five heartbeats. Any other refusal
// ends the ticket. If the reason is the batch itself, which is then not retryable, every
// stager refuses every attempt, so the batch is certainly not in the log.
func (c *Core) refused(now time.Time, m *messages.Refused) {
	for _, r := range m.Refusals {
		t, open := c.tickets.Find(r.Lane, r.Number)
		if !open || r.Attempt > t.attempts || t.refused[r.Attempt] {
			continue
		}
		if t.refused == nil {
			t.refused = make(map[uint32]bool)
		}
		t.refused[r.Attempt] = true
		switch {
		case !r.Code.Kind().Retryable:
			c.stats.GivenUp++
			c.settle(t.Lane, t.Number, Answer{Error: c.failure(t.Lane, t.Number, r.Code, r.Detail)})
		case r.Code != protocol.CodeStagerBusy:
			c.abandonTicket(t, r.Detail)
		case r.Attempt == t.attempts:
			t.stager = m.Stager
			t.restageAt = now.Add(c.times.Heartbeat * time.Duration(min(len(t.refused), 5)))
		}
	}
}

// missing handles tickets that the sequencer waits for. A missing batch is not necessarily
// lost, because its upload may be slow. So it is staged again only after no stager has
// reported it for the stage timeout. A second upload does not change the order: the
// sequencer uses the first result that arrives.
func (c *Core) missing(now time.Time, lanes []messages.LaneNumbers) {
	for _, l := range lanes {
		for _, n := range l.Numbers {
			t, open := c.tickets.Find(l.Lane, n)
			if open && t.restageAt.IsZero() && now.Sub(t.heardAt) >= c.times.StageTimeout {
				c.stageAgain(now, t)
			}
		}
	}
}

// heartbeat ends tickets after their deadline, stages refused batches again, and sends
// floors to the sequencer: those of the lanes that have a ticket older than a heartbeat, and
// of the lanes that have become empty since the last one. From the floors a restarted
// sequencer rebuilds its lanes, and any sequencer releases the batches that wait for an
// abandoned ticket.
func (c *Core) heartbeat(now time.Time) {
	for _, t := range c.due(now) {
		c.abandonTicket(t, "")
	}
	c.tickets.Lanes(func(lane ticketing.Outstanding, unsettled func(func(uint64, *ticket) bool)) {
		slow := false
		unsettled(func(_ uint64, t *ticket) bool {
			slow = slow || now.Sub(t.issued) >= c.times.Heartbeat
			if !t.restageAt.IsZero() && !now.Before(t.restageAt) {
				c.stageAgain(now, t)
			}
			return true
		})
		if slow {
			c.progress = append(c.progress, messages.LaneProgress{Lane: lane.Lane, Floor: lane.Floor, Highest: lane.Highest})
		}
		delete(c.emptied, lane.Lane)
	})
	for _, lane := range ordered.Keys(c.emptied) {
		c.progress = append(c.progress, messages.LaneProgress{Lane: lane, Floor: c.emptied[lane], Highest: c.emptied[lane] - 1})
	}
	clear(c.emptied)
}

// due returns the tickets whose deadline has passed.
func (c *Core) due(now time.Time) []*ticket {
	return c.unsettled(func(t *ticket) bool { return now.Sub(t.issued) >= c.times.Deadline })
}

// unsettled returns the tickets without an outcome that which selects, lane by lane and in
// ticket order.
func (c *Core) unsettled(which func(*ticket) bool) []*ticket {
	var all []*ticket
	c.tickets.Lanes(func(_ ticketing.Outstanding, unsettled func(func(uint64, *ticket) bool)) {
		unsettled(func(_ uint64, t *ticket) bool {
			if which(t) {
				all = append(all, t)
			}
			return true
		})
	})
	return all
}

// abandonTicket ends a ticket without an outcome from the replicator. The code FAILED
// promises that the batch is not in the log. That is certain only if every attempt to
// stage it was refused.
func (c *Core) abandonTicket(t *ticket, detail string) {
	code := protocol.CodeOutcomeUnknown
	if len(t.refused) == int(t.attempts) {
		code = protocol.CodeFailed
	}
	c.stats.GivenUp++
	c.settle(t.Lane, t.Number, Answer{Error: c.failure(t.Lane, t.Number, code, detail)})
}

func (c *Core) failure(lane string, number uint64, code protocol.Code, detail string) *protocol.Error {
	if code == protocol.CodeWrongLastSequence || code == protocol.CodeWrongLastID {
		return protocol.NewError(code, detail) // clients parse JetStream's text for these codes
	}
	where := fmt.Sprintf("partition %s, epoch %d, lane %q, ticket %d", c.partition, c.epoch, lane, number)
	if detail != "" {
		where = detail + " (" + where + ")"
	}
	return protocol.NewError(code, where)
}
