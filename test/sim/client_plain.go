package sim

import (
	"fmt"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
)

// stepPlain keeps some batches in flight. Without a message id none is sent twice.
func (i *instance) stepPlain() {
	const most = 4
	for ; i.flying < most && i.next < i.c.records && !i.rests(); i.flying++ {
		key := batchKey{i.c.number, i.next, 1 + i.c.w.rng.IntN(min(mostRecords, i.c.records-i.next))}
		i.next += key.records
		i.sendPlain(key)
	}
	i.rests()
	i.c.done = i.next == i.c.records && i.flying == 0
}

// sendPlain sends a batch without a sequence. Some of those that are sent again
// until they are acknowledged expect the log to end where it does.
func (i *instance) sendPlain(key batchKey) {
	w := i.c.w
	produce := frontend.Produce{
		Submission: messages.Submission{
			Batch:        messages.Batch{Ticket: messages.Ticket{Lane: i.c.key}, Records: uint32(key.records)},
			FirstUnacked: protocol.NotSaid,
		},
		Payload: key.payload(),
	}
	patience := 2 * deadline
	if i.c.repeats {
		produce.MessageID = fmt.Sprint("record-", key.first)
		w.messageIDs = max(w.messageIDs, key.first+1)
		patience = attemptTimeout
		if w.chance(0.1) {
			produce.Expect = messages.Expectation{HasSequence: true, Sequence: uint64(w.checks.nextOffset)}
			if w.checks.lastID != "" {
				produce.Expect = messages.Expectation{MessageID: w.checks.lastID}
			}
		}
	}
	r := &request{key: key, instance: i, produce: produce}
	w.after(patience, func() { i.answered(r, false) })
	i.send(r)
}

// answered is told of the end of a plain request, which counts once: its answer,
// or that it took too long.
func (i *instance) answered(r *request, acked bool) {
	switch {
	case r.answered:
	case i.c.repeats && !acked:
		r.answered = true
		i.c.w.counts.Resent++
		i.sendPlain(r.key)
	default:
		r.answered = true
		i.flying--
		i.step()
	}
}
