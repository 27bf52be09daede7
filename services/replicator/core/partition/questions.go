package partition

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// maxQuestions bounds the questions that wait. Who gets no answer asks again.
	maxQuestions = 64
	// restAfter is how long nothing is listed after a list, for each producer that it
	// had to look at: some ten times as long as that takes, so that batches go first.
	restAfter = 500 * time.Nanosecond
)

// questions are those for the producers of the partition. They are for people: a
// replaced owner may tell what was.
type questions struct {
	waiting []messages.ListProducers
	next    time.Time // when the next one may be answered
}

// ListProducers takes a question. One about a single producer is answered at once; a
// repetition of one that waits is none.
func (c *Core) ListProducers(m messages.ListProducers) {
	if m.Only != 0 {
		known, is := c.producers.Known(m.Only)
		if is {
			c.tell(m, []messages.KnownProducer{known}, false)
		} else {
			c.tell(m, nil, false)
		}
		return
	}
	for _, w := range c.questions.waiting {
		if w.Epoch == m.Epoch && w.Request == m.Request {
			return
		}
	}
	if len(c.questions.waiting) < maxQuestions {
		c.questions.waiting = append(c.questions.waiting, m)
	}
}

// AnswerQuestion answers the oldest question, if there was rest enough.
func (c *Core) AnswerQuestion(now time.Time) {
	q := &c.questions
	if len(q.waiting) == 0 || now.Before(q.next) {
		return
	}
	m := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.next = now.Add(time.Duration(c.producers.Len()) * restAfter)
	listed, more := c.producers.List(m.After, int(min(m.Limit, protocol.MaxListedProducers)))
	c.tell(m, listed, more)
}

func (c *Core) tell(m messages.ListProducers, listed []messages.KnownProducer, more bool) {
	c.answer(m.Epoch, messages.Producers{
		Partition: c.id, Epoch: m.Epoch, Request: m.Request,
		Total: uint64(c.producers.Len()), More: more, Producers: listed,
	})
}
