package partition

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Release decides about batches that the sequencer has released. epochs are those of the
// batches, and MUST be the highest ones of the log.
func (c *Core) Release(now time.Time, epochs Epochs, batches []messages.StagedBatch) {
	c.queue = slices.Grow(c.queue, len(batches))
	for i := range batches {
		c.checkTicket(now, epochs, &batches[i])
	}
}

// EndLanes removes all lanes. A frontend with a higher epoch issues ticket numbers from 1
// again, and no ticket of a lower epoch is accepted any more.
func (c *Core) EndLanes() {
	c.lanes.reset()
	clear(c.releaseFrom)
}

// checkTicket decides by the ticket of a batch. Releases may be lost, repeated and
// reordered, so a number can be
//
//   - settled: the outcome is sent again, since the first one may have been lost;
//   - below the floor or in flight: nothing is to be done;
//   - at or below the highest one accepted, and none of these: it was refused, its lane has
//     leapt over it, or its lane was evicted. It can never be committed in order;
//   - beyond the next one, and not the floor: a release before it was lost, and is requested
//     again. If the number is the floor, the frontend has resolved everything below it, and
//     the number is the next one;
//   - the next one: it is accepted. If the payload of an inline batch was withheld, because the
//     release is a repeated one, an earlier release was lost, and is requested again.
func (c *Core) checkTicket(now time.Time, epochs Epochs, b *messages.StagedBatch) {
	if !c.lanes.hasRoom(b.Lane, c.settings) {
		c.lanes.refuseUnknown(b.Number)
		c.reject(epochs.Frontend, b, messages.Outcome{Ticket: b.Ticket, Code: protocol.CodeOverloaded})
		return
	}
	lane := c.lanes.of(b.Lane)
	lane.active = now
	lane.raise(b.Floor)
	if done, ok := lane.committed(b.Number); ok {
		c.stats.Repeats++
		c.outcome(epochs.Frontend, messages.Outcome{
			Ticket: b.Ticket, Offset: done.offset, Duplicate: done.duplicate,
		})
		return
	}
	switch {
	case b.Number < lane.floor:
		// Resolved: its producer has been answered.
		c.stats.Repeats++
	case lane.inFlight(b.Number):
		c.stats.Repeats++
	case b.Number <= lane.seen:
		c.reject(epochs.Frontend, b, messages.Outcome{Ticket: b.Ticket, Code: protocol.CodeNotCommitted})
	case b.Number > lane.seen+1 && b.Number != lane.floor, b.Withheld:
		c.requestRelease(now, b.Lane, lane)
	default:
		c.accept(now, epochs, b, lane)
	}
}

// requestRelease asks the sequencer to repeat its releases from the first missing number
// on. A lane has one request under way at a time, which is repeated after a heartbeat.
func (c *Core) requestRelease(now time.Time, name string, l *lane) {
	if now.Sub(l.requestedAt) < c.settings.Heartbeat {
		return
	}
	l.requestedAt = now
	c.stats.Asks++
	c.releaseFrom[name] = max(l.seen+1, l.floor)
}

// reject queues a refusal. It is sent only after a later append is durable: this proves that
// the owner had not been replaced when it decided. The append MUST contain or follow all
// batches that were accepted earlier, because the refusal may rest on them: "wrong last
// sequence" is true only if those batches are in the log.
//
// The entry lists the refusal. Otherwise the next owner, which sees the ticket for the first
// time, might append the batch after its producer has received the refusal. Refusals of
// batches with producer sequences are not listed: if the next owner appends such a batch,
// it recognizes a later copy as a duplicate.
func (c *Core) reject(epoch uint64, b *messages.StagedBatch, o messages.Outcome) {
	c.rejections = append(c.rejections, rejection{epoch, o, c.accepted, b.Sequence.ProducerID == 0})
}

func (c *Core) outcome(epoch uint64, o messages.Outcome) {
	c.outcomes[epoch] = append(c.outcomes[epoch], o)
}
