package frontend

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/pkg/ticketing"
)

// refused is told that stagers did not stage some batches. A refusal that may
// pass (the stager was busy) is tried again after a while; another one ends the
// ticket.
func (c *Core) refused(now time.Time, refusals []messages.Refusal) {
	for _, r := range refusals {
		t, open := c.tickets.Find(r.Lane, r.Number)
		if !open || r.Attempt > t.attempts || t.refused[r.Attempt] {
			continue
		}
		if t.refused == nil {
			t.refused = make(map[uint32]bool)
		}
		t.refused[r.Attempt] = true
		switch {
		case r.Code != protocol.CodeStagerBusy:
			c.giveUp(t, r.Detail)
		case r.Attempt == t.attempts:
			t.again = now.Add(c.times.Heartbeat * time.Duration(min(len(t.refused), 5)))
		}
	}
}

// missing is told what the sequencer has not heard of. Missing is not lost: a
// batch is staged again only when its staging has had all the time it needs.
func (c *Core) missing(now time.Time, lanes []messages.LaneNumbers) {
	for _, l := range lanes {
		for _, n := range l.Numbers {
			t, open := c.tickets.Find(l.Lane, n)
			if open && t.again.IsZero() && now.Sub(t.stagedAt) >= c.times.StageTimeout {
				c.stats.Restaged++
				c.stageTicket(now, t)
			}
		}
	}
}

// heartbeat gives up tickets that are past their deadline, stages again what
// was refused, and tells the sequencer how far every lane is that has waited
// for long, or that has no tickets any more.
func (c *Core) heartbeat(now time.Time) {
	for _, t := range c.due(now) {
		c.giveUp(t, "")
	}
	c.tickets.Lanes(func(lane ticketing.Outstanding, unsettled func(func(uint64, *ticket) bool)) {
		slow := false
		unsettled(func(_ uint64, t *ticket) bool {
			slow = slow || now.Sub(t.issued) >= c.times.Heartbeat
			if !t.again.IsZero() && !now.Before(t.again) {
				c.stats.Restaged++
				c.stageTicket(now, t)
			}
			return true
		})
		if slow {
			c.progress = append(c.progress, messages.LaneProgress{Lane: lane.Lane, Floor: lane.Floor, Highest: lane.Highest})
		}
		delete(c.emptied, lane.Lane)
	})
	for _, lane := range sortedLanes(c.emptied) {
		c.progress = append(c.progress, messages.LaneProgress{Lane: lane, Floor: c.emptied[lane], Highest: c.emptied[lane] - 1})
	}
	clear(c.emptied)
	slices.SortFunc(c.progress, func(a, b messages.LaneProgress) int { return cmp.Compare(a.Lane, b.Lane) })
	slices.SortStableFunc(c.stage, func(a, b messages.StageBatch) int {
		return cmp.Or(cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Number, b.Number))
	})
}

// due returns the tickets that are past their deadline, in the order in which
// they were issued on their lanes.
func (c *Core) due(now time.Time) []*ticket {
	return c.unsettled(func(t *ticket) bool { return now.Sub(t.issued) >= c.times.Deadline })
}

// unsettled returns tickets in the order in which they were issued on their lanes.
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
	slices.SortFunc(all, func(a, b *ticket) int {
		return cmp.Or(cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.number, b.number))
	})
	return all
}

// giveUp ends a ticket whose outcome is not known, or known to be a failure.
// Only if every staging was refused can the batch not be in the log.
func (c *Core) giveUp(t *ticket, detail string) {
	code := protocol.CodeOutcomeUnknown
	if len(t.refused) == int(t.attempts) {
		code = protocol.CodeFailed
	}
	c.stats.GivenUp++
	c.settle(t.Lane, t.number, Answer{Error: c.failure(t.Lane, t.number, code, detail)})
}

func (c *Core) failure(lane string, number uint64, code protocol.Code, detail string) *protocol.Error {
	if code == protocol.CodeWrongLastSequence || code == protocol.CodeWrongLastID {
		return protocol.NewError(code, detail) // clients read JetStream's text
	}
	where := fmt.Sprintf("partition %s, epoch %d, lane %q, ticket %d", c.partition, c.epoch, lane, number)
	if detail != "" {
		where = detail + " (" + where + ")"
	}
	return protocol.NewError(code, where)
}

// Abandon ends every ticket, because the core will not be stepped again, and
// returns the answers. Those of the turn in which it was fenced come first.
func (c *Core) Abandon(code protocol.Code) []Answer {
	c.fx = Effects{Answers: c.unsaid}
	c.tickets.Lanes(func(lane ticketing.Outstanding, unsettled func(func(uint64, *ticket) bool)) {
		unsettled(func(_ uint64, t *ticket) bool {
			t.outcome = Answer{Error: c.failure(t.Lane, t.number, code, "the partition's owner is ending")}
			return true
		})
	})
	c.tickets.SettleAll(c.resolved)
	return c.fx.Answers
}
