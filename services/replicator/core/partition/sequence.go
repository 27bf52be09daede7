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

// sequence takes a batch that has a producer id, or says why it cannot be taken:
// the producer's history is judged first, then what it expects of the log's end.
func (c *Core) sequence(b *messages.StagedBatch, p *pending) *protocol.Error {
	j := c.producers.Judge(b.Sequence, b.Records, b.FirstUnacked)
	switch j.Verdict {
	case producers.Refuse:
		c.stats.Refused++
		return j.Refusal
	case producers.Duplicate:
		p.duplicate, p.original = true, &producers.Original{Offset: j.Offset}
		return nil
	case producers.Joins:
		p.duplicate, p.original = true, j.Original
		return nil
	}
	if refusal := c.claim(b, p); refusal != nil {
		return refusal
	}
	p.producer = c.producers.Accept(j, b.Sequence, b.Records)
	return nil
}

// fence is the fence of a named producer, and who asked for it.
type fence struct {
	messages.LoggedFence
	asker uint64 // frontend epoch
}

// FenceProducer takes a fence. It is answered once it is in the log; one that is
// in flight already is answered when it lands, so its repetition is not.
func (c *Core) FenceProducer(now time.Time, epochs Epochs, m messages.FenceProducer) {
	producer, logged, verdict := c.producers.Fence(m.Fence, m.IfKnown)
	code := protocol.CodeOK
	switch verdict {
	case producers.FenceAccepted:
		c.queue = append(c.queue, pending{
			epochs: epochs, producer: producer,
			fence: &fence{logged, m.Epoch}, since: now,
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
	c.answerFence(m.Epoch, m.Fence, code)
}

// answerFence tells who asked for a fence what is committed of its producer, which
// may not be known.
func (c *Core) answerFence(asker uint64, f messages.ProducerFence, code protocol.Code) {
	known, is := c.producers.Known(f.ProducerID)
	if !is {
		known.ProducerFence = f
	}
	c.answer(asker, messages.ProducerFenced{
		Partition: c.id, Epoch: asker, Fence: f.ProducerEpoch, Code: code, Producer: known,
	})
}

// fenceCommitted answers a fence that is in the log, and with it everything that
// was accepted of the producer before.
func (c *Core) fenceCommitted(p *pending) {
	c.producers.Commit(p.producer, 0)
	c.answerFence(p.fence.asker, p.fence.ProducerFence, protocol.CodeOK)
}
