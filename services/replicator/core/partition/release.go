package partition

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Release takes what the sequencer hands over, of the epochs that are the log's present
// ones.
func (c *Core) Release(now time.Time, epochs Epochs, batches []messages.StagedBatch) {
	c.queue = slices.Grow(c.queue, len(batches))
	for i := range batches {
		c.ticket(now, epochs, &batches[i])
	}
}

// EndLanes forgets all lanes, because a younger frontend numbers its lanes from the
// beginning: no number of the older epoch is ever accepted again.
func (c *Core) EndLanes() {
	c.lanes.reset()
	clear(c.asks)
}

// ticket is the first decision about a batch: whether it is its turn.
func (c *Core) ticket(now time.Time, epochs Epochs, b *messages.StagedBatch) {
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
		// Resolved: its producer has been answered, and nobody waits for this.
		c.stats.Repeats++
	case lane.inFlight(b.Number):
		c.stats.Repeats++
	case b.Number <= lane.seen:
		c.reject(epochs.Frontend, b, messages.Outcome{Ticket: b.Ticket, Code: protocol.CodeNotCommitted})
	case b.Number > lane.seen+1 && b.Number != lane.floor:
		c.askAgain(now, b.Lane, lane)
	default:
		c.accept(now, epochs, b, lane)
	}
}

// askAgain asks the sequencer for what lies between the last number seen and
// the one that came. One question per lane is under way at a time.
func (c *Core) askAgain(now time.Time, name string, l *lane) {
	if now.Sub(l.asked) < c.settings.Heartbeat {
		return
	}
	l.asked = now
	c.stats.Asks++
	c.asks[name] = max(l.seen+1, l.floor)
}

// accept takes a batch whose turn it is. Its sequence, or else its message id,
// decides whether it is appended, or answered with the offset of the batch that it
// repeats; a duplicate is one whatever it expects, so that the retry of a lost ack
// succeeds.
func (c *Core) accept(now time.Time, epochs Epochs, b *messages.StagedBatch, l *lane) {
	p := pending{batch: *b, epochs: epochs, since: now}
	var refusal *protocol.Error
	switch {
	case b.Sequence.ProducerID != 0:
		refusal = c.sequence(b, &p)
	case b.MessageID != "":
		if p.first, p.duplicate = c.ids.find(b.MessageID); !p.duplicate {
			refusal = c.claim(b, &p)
		}
	default:
		refusal = c.claim(b, &p)
	}
	if p.duplicate {
		c.stats.Duplicates++
	}
	if refusal != nil {
		l.take(b.Number)
		l.drop(b.Number)
		c.reject(epochs.Frontend, b, messages.Outcome{Ticket: b.Ticket, Code: refusal.Code, Detail: refusal.Detail})
		return
	}
	l.take(b.Number)
	l.asked = time.Time{}
	c.queue = append(c.queue, p)
	c.accepted++
}

// claim gives a batch that is no duplicate the place behind the tail, or says
// why it cannot have it.
func (c *Core) claim(b *messages.StagedBatch, p *pending) *protocol.Error {
	if refusal := c.tail.check(b.Expect); refusal != nil {
		return refusal
	}
	if b.MessageID != "" && b.Sequence.ProducerID == 0 {
		if p.first = c.ids.reserve(b.MessageID); p.first == nil {
			return protocol.NewError(protocol.CodeOverloaded, "")
		}
	}
	c.tail = tail{c.tail.offset + int64(b.Records), b.MessageID}
	return nil
}

// reject notes a refusal. It leaves only after an append that was sent after
// this moment is durable, because a replaced owner must never judge, and with it
// everything that was accepted before, because the refusal may rest on that. The
// append tells of it, or the next owner might take the batch after all; but where
// sequences keep a batch from being in the log twice, no harm comes from that.
func (c *Core) reject(epoch uint64, b *messages.StagedBatch, o messages.Outcome) {
	c.rejections = append(c.rejections, rejection{epoch, o, c.accepted, b.Sequence.ProducerID == 0})
}

func (c *Core) outcome(epoch uint64, o messages.Outcome) {
	c.outs[epoch] = append(c.outs[epoch], o)
}
