package partition

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// maxQuestions bounds the requests that wait. A frontend without an answer asks again.
	maxQuestions = 64
	// restAfter is the pause after a list, for each producer in the table. It is some ten
	// times as long as the list takes, so that lists delay batches by a tenth at most.
	restAfter = 500 * time.Nanosecond
)

// questions are the requests to list producers. Their answers inform operators and decide
// nothing, so they need no barrier: a replaced owner may send an old list.
type questions struct {
	waiting []messages.ListProducers
	next    time.Time // when the next list may be made
}

// ListProducers handles a request for producers. A request for a single producer is answered
// at once. A request for a list waits for AnswerQuestion; a repetition of it is dropped.
func (c *Core) ListProducers(m messages.ListProducers) {
	if m.Only != 0 {
		known, is := c.producers.Known(m.Only)
		if is {
			c.answerList(m, []messages.KnownProducer{known}, false)
		} else {
			c.answerList(m, nil, false)
		}
		return
	}
	for _, w := range c.questions.waiting {
		if w.Asker == m.Asker && w.Request == m.Request {
			return
		}
	}
	if len(c.questions.waiting) < maxQuestions {
		c.questions.waiting = append(c.questions.waiting, m)
	}
}

// AnswerQuestion answers the oldest request, if the pause after the last list is over.
func (c *Core) AnswerQuestion(now time.Time) {
	q := &c.questions
	if len(q.waiting) == 0 || now.Before(q.next) {
		return
	}
	m := q.waiting[0]
	q.waiting = q.waiting[1:]
	q.next = now.Add(time.Duration(c.producers.Len()) * restAfter)
	listed, more := c.producers.List(m.After, int(min(m.Limit, protocol.MaxListedProducers)))
	c.answerList(m, listed, more)
}

func (c *Core) answerList(m messages.ListProducers, listed []messages.KnownProducer, more bool) {
	c.answer(m.Asker, messages.Producers{
		Partition: c.id, Asker: m.Asker, Request: m.Request,
		Total: uint64(c.producers.Len()), More: more, Producers: listed,
	})
}
