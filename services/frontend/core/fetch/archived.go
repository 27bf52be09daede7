package fetch

import "laneway.dev/pkg/messages"

// doubt is an answer that speaks of lost entries, while it is being verified.
//
// Entries are purged from the stream after they were archived, and an older manifest may go after
// a newer one is in the log. A fetch that knows an older history than the log would take that for
// damage. So it looks up the state of the log first, and reads again if the history is another
// one.
type doubt struct {
	question Question
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

// verify looks up whether entries that seem to be lost were archived.
func (c *Core) verify(q Question, answer Event) {
	c.doubt = doubt{q, c.phase, answer}
	c.ask(verifying, LookUp{})
}

// verified is called when the history is known as it is now.
func (c *Core) verified() {
	d := c.doubt
	c.doubt = doubt{}
	if again := c.renew(d.question); historyOf(again) != historyOf(d.question) {
		c.ask(d.phase, again)
		return
	}
	c.phase = d.phase
	c.handleAnswer(d.answer)
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
