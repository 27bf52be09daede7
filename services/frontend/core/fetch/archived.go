package fetch

import (
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// maxMoved bounds how often in a row a fetch reads again because the history has moved meanwhile.
const maxMoved = 16

// doubt is an answer that speaks of lost entries or payloads, while it is being verified.
//
// Once entries are archived, they are purged from the stream, and the objects that they refer to
// are deleted. In the same way a manifest or a segment is deleted after a newer manifest without
// it is in the log. A fetch that knows an older history than the log would take that for damage.
// So it looks up the state of the log first, and reads again if the history is another one.
type doubt struct {
	question Question // nil if the payload of the next batch is in doubt
	phase    phase
	answer   Event
}

// isDoubtful reports whether an answer to a question speaks of lost entries.
func isDoubtful(q Question, e Event) bool {
	switch q := q.(type) {
	case Read:
		entries, ok := e.(Entries)
		return isDamage(e) || ok && len(entries.Entries) > 0 && entries.Entries[0].Sequence > q.From
	case Narrow:
		return isDamage(e)
	}
	return false
}

// isWhole reports whether an answer has the entries that were asked for.
func isWhole(q Question, e Event) bool {
	entries, ok := e.(Entries)
	return ok && len(entries.Entries) > 0 && !isDoubtful(q, e)
}

func isDamage(e Event) bool {
	f, failed := e.(Failed)
	return failed && isCorrupt(f.Err)
}

// verify looks up whether what seems to be lost was archived. The question is nil if the answer is
// about the payload of the next batch.
func (c *Core) verify(q Question, answer Event) {
	c.doubt = doubt{q, c.phase, answer}
	c.ask(verifying, LookUp{})
}

// verified is called when the history is known as it is now.
func (c *Core) verified() {
	d := c.doubt
	c.doubt = doubt{}
	if d.question == nil {
		c.batchVerified(d.answer.(Failed).Err)
		return
	}
	if c.hasMovedOn() {
		return
	}
	if again := c.renew(d.question); historyOf(again) != historyOf(d.question) {
		if c.mayReadAgain() {
			c.ask(d.phase, again)
		}
		return
	}
	c.phase = d.phase
	c.handleAnswer(d.answer)
}

// batchVerified fails the fetch because of the next batch, unless the log says by now that the
// batch is somewhere else.
func (c *Core) batchVerified(err *protocol.Error) {
	b := &c.queue[0]
	if c.read(b.sequence, 1).History.Manifest == b.manifest {
		c.failBatch(b, err)
		return
	}
	if c.mayReadAgain() {
		c.sequence = b.sequence
		c.queue, c.payloads, c.loaded, c.stuck = nil, nil, 0, false
	}
}

// mayReadAgain ends the fetch with a retryable error and returns false if the history has moved
// too often.
func (c *Core) mayReadAgain() bool {
	if c.moved++; c.moved <= maxMoved {
		return true
	}
	c.fail(protocol.Errorf(protocol.CodeUnavailable, "the history of partition %s has moved %d times while offset %d was read", c.partition, c.moved, c.offset))
	return false
}

// renew returns a question with the history as it is known now.
func (c *Core) renew(q Question) Question {
	switch q := q.(type) {
	case Read:
		return c.read(q.From, q.Limit)
	case Narrow:
		q.History = c.known.History
		return q
	}
	return q
}

// historyOf returns the history that a question names.
func historyOf(q Question) messages.History {
	switch q := q.(type) {
	case Read:
		return q.History
	case Narrow:
		return q.History
	}
	return messages.History{}
}
