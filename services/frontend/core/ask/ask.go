// Package ask repeats requests to the replicators of partitions until they are answered,
// because a request or its answer may be lost, or the replicator may restart. It is pure: it
// returns the messages to send.
package ask

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// maxOpen bounds the questions that wait for an answer at the same time. A topic may have
// many partitions, and a restarting replicator should not receive questions for all at once.
const maxOpen = 16

// Questions are the open questions of one request, at most one per partition. They belong to
// one goroutine.
type Questions struct {
	every time.Duration
	open  []question // in the order in which they were added
}

type question struct {
	message messages.Message
	sent    time.Time // the last time; zero if never
}

// New returns an empty set. Each question is repeated after the given time without an answer.
func New(every time.Duration) *Questions { return &Questions{every: every} }

// Add adds a question, for the replicator of the partition that m names.
func (q *Questions) Add(m messages.Message) { q.open = append(q.open, question{message: m}) }

// Due returns the questions to send now: new ones, up to the limit, and those whose answer
// is overdue.
func (q *Questions) Due(now time.Time) (send []messages.Envelope) {
	for i := range q.open[:min(maxOpen, len(q.open))] {
		open := &q.open[i]
		if !open.sent.IsZero() && now.Sub(open.sent) < q.every {
			continue
		}
		open.sent = now
		send = append(send, messages.Envelope{Subject: messages.ReplicatorSubject(open.message.Of()), Message: open.message})
	}
	return send
}

// Answered removes the question about a partition. It reports whether there was one, since
// an answer may arrive twice.
func (q *Questions) Answered(p protocol.Partition) bool {
	i := q.find(p)
	if i < 0 {
		return false
	}
	q.open = slices.Delete(q.open, i, i+1)
	return true
}

// Open returns the number of questions without an answer.
func (q *Questions) Open() int { return len(q.open) }

// Damaged returns the error for a question about a read-only partition, or nil if none was
// sent. The replicator does not answer it before the log is repaired.
func (q *Questions) Damaged(m messages.ReadOnly) error {
	if i := q.find(m.Partition); i < 0 || q.open[i].sent.IsZero() {
		return nil
	}
	return m.Err()
}

// Unanswered returns the error for questions that were not answered because of a cause, such
// as a timeout.
func (q *Questions) Unanswered(cause error) error {
	if len(q.open) == 0 {
		return protocol.NewError(protocol.CodeUnavailable, cause.Error())
	}
	return protocol.Errorf(protocol.CodeUnavailable,
		"the replicator of partition %s does not answer; is one running?", q.open[0].message.Of())
}

func (q *Questions) find(p protocol.Partition) int {
	return slices.IndexFunc(q.open, func(o question) bool { return o.message.Of() == p })
}
