package partition

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// accept decides about a batch whose ticket is the next one. Its producer sequence, or else
// its message id, shows whether it is a duplicate. The expectations of a duplicate are not
// checked: a retry whose acknowledgement was lost must succeed although the log has grown.
func (c *Core) accept(now time.Time, epochs Epochs, b *messages.StagedBatch, l *lane) {
	p := pending{batch: *b, epochs: epochs, since: now}
	var refusal *protocol.Error
	switch {
	case b.Sequence.ProducerID != 0:
		refusal = c.checkSequence(b, &p)
	case b.MessageID != "":
		if p.first, p.duplicate = c.ids.find(b.MessageID); !p.duplicate {
			refusal = c.extendTail(b, &p)
		}
	default:
		refusal = c.extendTail(b, &p)
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
	l.requestedAt = time.Time{}
	c.queue = append(c.queue, p)
	c.accepted++
}

// extendTail puts a batch that is not a duplicate after the tail, or returns why it is
// rejected.
func (c *Core) extendTail(b *messages.StagedBatch, p *pending) *protocol.Error {
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
