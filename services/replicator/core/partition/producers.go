package partition

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/producers"
)

func newProducers(s Settings) *producers.Table {
	return producers.New(s.ProducerExpiry, s.MaxProducers)
}

// checkSequence decides about a batch with a producer id: first by the history of the
// producer, then by what it expects of the log's end. It returns why the batch is rejected,
// or nil.
func (c *Core) checkSequence(b *messages.StagedBatch, p *pending) *protocol.Error {
	d := c.producers.Decide(b.Sequence, b.Records, b.FirstUnacked)
	switch d.Result {
	case producers.Refuse:
		c.stats.Refused++
		return d.Refusal
	case producers.Duplicate:
		p.duplicate, p.original = true, &producers.Original{Offset: d.Offset}
		return nil
	case producers.DuplicateInFlight:
		p.duplicate, p.original = true, d.Original
		return nil
	}
	if refusal := c.extendTail(b, p); refusal != nil {
		return refusal
	}
	p.producer = c.producers.Accept(d, b.Sequence, b.Records)
	return nil
}

// fence is the fence of a named producer, and the frontend that waits for it.
type fence struct {
	messages.LoggedFence
	asker uint64
}

// FenceProducer handles the request for a fence. An accepted fence is answered when it is in
// the log. A repeated request gets no answer while the fence is in flight, because the first
// request will be answered.
func (c *Core) FenceProducer(now time.Time, epochs Epochs, m messages.FenceProducer) {
	producer, logged, result := c.producers.Fence(m.Fence, m.IfKnown)
	code := protocol.CodeOK
	switch result {
	case producers.FenceAccepted:
		c.queue = append(c.queue, pending{
			epochs: epochs, producer: producer,
			fence: &fence{logged, m.Asker}, since: now,
		})
		c.accepted++
		return
	case producers.FenceInFlight:
		return
	case producers.FenceRefused:
		code = protocol.CodeInvalidEpoch
	case producers.FenceUnknown:
		code = protocol.CodePositionExpired
	case producers.FenceTooMany:
		code = protocol.CodeTooManyProducers
	case producers.FenceCommitted:
	}
	c.answerFence(m.Asker, m.Fence, code)
}

// answerFence sends the result of a fence, with the committed state of its producer if the
// partition has any.
func (c *Core) answerFence(asker uint64, f messages.ProducerFence, code protocol.Code) {
	known, is := c.producers.Known(f.ProducerID)
	if !is {
		known.ProducerFence = f
	}
	c.answer(asker, messages.ProducerFenced{
		Partition: c.id, Asker: asker, Fence: f.ProducerEpoch, Code: code, Producer: known,
	})
}

// fenceCommitted answers a fence that is in the log. All batches of the producer that were
// accepted before the fence are in the log then, so the last sequence in the answer is final.
func (c *Core) fenceCommitted(p *pending) {
	c.producers.Commit(p.producer, 0)
	c.answerFence(p.fence.asker, p.fence.ProducerFence, protocol.CodeOK)
}
