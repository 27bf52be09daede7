package core

import (
	"laneway.dev/pkg/protocol"
)

// EpochTaken reports that this frontend has taken the epoch that TakeEpoch asked for.
type EpochTaken struct{ Epoch uint64 }

// Reason is why a partition ends.
type Reason int

// The reasons. Only a deletion is final for producers. After any other reason they retry, and
// reach another frontend, or this one after its restart.
const (
	Stopping Reason = iota // the frontend is stopping
	Renewed                // the partition's log continues in another stream
	Deleted                // the topic was deleted
)

// Ending reports that a partition ends.
type Ending struct {
	Partition protocol.Partition
	Reason    Reason
	// Replaced means that a younger frontend exists. A frontend that was replaced MUST NOT
	// answer: its successor may have answered later batches of the same producers.
	Replaced bool
}

// Refusal returns the error for a request that arrives too late to get a ticket.
func (e Ending) Refusal() *protocol.Error {
	switch {
	case e.Reason == Deleted:
		return protocol.NewError(protocol.CodeUnknownTopic, "the topic was deleted")
	case e.Replaced:
		return protocol.NewError(protocol.CodeNotOwner, "a younger frontend has taken over")
	case e.Reason == Renewed:
		return protocol.NewError(protocol.CodeNotOwner, "the log of the partition is continued in another stream")
	default:
		return protocol.NewError(protocol.CodeNotOwner, "the frontend is stopping")
	}
}

// serves reports whether the core issues tickets: it has an epoch, is not fenced and has not ended.
func (c *Core) serves() bool { return c.epoch != 0 && c.fencedBy == 0 && c.ending == nil }

// handleIdle handles an event while the core does not serve. Messages about its tickets are
// ignored, because all tickets are answered with OUTCOME_UNKNOWN, or not at all.
func (c *Core) handleIdle(e Event) {
	switch e := e.(type) {
	case Produce:
		c.rejectLate(e)
	case EpochTaken:
		if c.ending == nil {
			c.renew(e.Epoch)
		}
	case Ending:
		if c.ending == nil {
			c.end(e)
		}
	}
}

// rejectLate answers a request that gets no ticket. While the core is fenced, the answer is
// withheld: this frontend may answer only if it gets an epoch.
func (c *Core) rejectLate(p Produce) {
	switch {
	case c.ending == nil:
		err := protocol.Errorf(protocol.CodeUnavailable, "partition %s, epoch %d: its owner is fenced", c.partition, c.epoch)
		c.withheld = append(c.withheld, withoutTicket(p, err))
	case !c.ending.Replaced:
		c.fx.Answers = append(c.fx.Answers, withoutTicket(p, c.ending.Refusal()))
	}
}

// withoutTicket returns the answer to a request that is rejected without a ticket.
func withoutTicket(p Produce, err *protocol.Error) Answer {
	return Answer{Request: p.Request, Lane: p.Lane, Records: int(p.Records), Payload: p.Payload, Error: err}
}

// renew continues in a new epoch. The replicator drops all releases of the old epoch, so
// renew answers the old tickets, and the partition starts again without tickets.
func (c *Core) renew(epoch uint64) {
	answers, stats, live, inline := c.abandon(), c.stats, c.live, c.inline
	*c = *NewCore(c.partition, epoch, c.codec, c.times)
	c.stats, c.fx.Answers, c.inline = stats, answers, inline
	c.setLive(Stagers{live})
}

// end answers the remaining tickets, unless the frontend was replaced. Their batches may be
// in the log, so the outcome is unknown.
func (c *Core) end(e Ending) {
	answers := c.abandon()
	if e.Replaced {
		answers = nil
	}
	c.fx, c.fencedBy, c.ending = Effects{Answers: answers}, 0, &e
}

// abandon ends every ticket. It returns all answers: the withheld ones, those of this step,
// and those of the tickets, in this order.
func (c *Core) abandon() []Answer {
	c.fx.Answers = append(c.withheld, c.fx.Answers...)
	c.withheld = nil
	for _, t := range c.unsettled(func(*ticket) bool { return true }) {
		t.outcome.Error = c.failure(t.Lane, t.Number, protocol.CodeOutcomeUnknown, "the partition's owner is ending")
	}
	c.tickets.SettleAll(c.resolved)
	return c.fx.Answers
}
