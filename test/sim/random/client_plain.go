package random

import (
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// stepPlain keeps some batches in flight. Without a message id none is sent twice.
func (r *run) stepPlain(c *client, i *world.Instance) {
	const most = 4
	until := c.Records
	if r.restsLater(c) {
		until /= 2
	}
	for len(c.waiting) < most && i.Next < until {
		batch := check.Batch{Client: c.Number, First: i.Next, Records: 1 + r.rng.IntN(min(mostRecords, c.Records-i.Next))}
		i.Next += batch.Records
		r.sendPlain(c, i, batch, 0)
	}
	r.rest(c, i)
	c.done = i.Next == c.Records && len(c.waiting) == 0
}

// sendPlain sends a batch without a sequence. If the client repeats its batches, one attempt
// in ten expects the log to end where it ends at this time.
func (r *run) sendPlain(c *client, i *world.Instance, batch check.Batch, attempt int) {
	q := r.Plain(i, batch, attempt)
	patience := 2 * deadline
	if c.repeats {
		q.MessageID = fmt.Sprint("record-", batch.First)
		r.Bounds.MessageIDs = max(r.Bounds.MessageIDs, batch.First+1)
		patience = attemptTimeout
		if r.chance(0.1) {
			q.Expect = messages.Expectation{HasSequence: true, Sequence: uint64(r.checks[c.Partition].NextOffset())}
			if last := r.checks[c.Partition].LastMessageID(); last != "" {
				q.Expect = messages.Expectation{MessageID: last}
			}
		}
	}
	c.waiting[q.ID] = true
	r.after(patience, func() { r.plainEnded(c, i, q, false) })
	r.request(i, q)
}

// plainEnded ends an attempt of a plain client, by its answer or by its timeout. Only the
// first of these has an effect.
func (r *run) plainEnded(c *client, i *world.Instance, q world.Request, acked bool) {
	if !c.waiting[q.ID] || i.Dead {
		return
	}
	delete(c.waiting, q.ID)
	if c.repeats && !acked {
		r.counts.Resent++
		r.sendPlain(c, i, q.Batch, q.ID.Attempt+1)
		return
	}
	r.stepPlain(c, i)
}
