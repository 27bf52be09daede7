package core

import (
	"slices"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// itemsPerMessage bounds a message; one turn may answer more batches than fit into one.
	itemsPerMessage = 2000
	// maxDetail bounds the text of one refusal, in bytes, because a message has many.
	maxDetail = 512
)

// refusal returns the answer for a batch that is not staged, for this reason.
func refusal(b *Batch, reason *protocol.Error) messages.Refusal {
	return messages.Refusal{
		Ticket:  b.Ticket,
		Attempt: b.Attempt,
		Code:    reason.Code,
		Detail:  reason.Detail[:min(len(reason.Detail), maxDetail)],
	}
}

// flush turns the answers of this turn into envelopes.
func (c *Core) flush() {
	c.staged.flush(func(to sender, batches []messages.StagedBatch) {
		c.fx.Send = append(c.fx.Send, messages.Envelope{
			Subject: messages.SequencerSubject(to.partition),
			Message: messages.Staged{Partition: to.partition, Epoch: to.epoch, Batches: batches},
		})
	})
	c.refused.flush(func(to sender, refusals []messages.Refusal) {
		c.fx.Send = append(c.fx.Send, c.settings.refusedEnvelope(to, refusals))
	})
}

func (s Settings) refusedEnvelope(to sender, refusals []messages.Refusal) messages.Envelope {
	return messages.Envelope{
		Subject: messages.FrontendSubject(to.partition, to.epoch),
		Message: messages.Refused{Partition: to.partition, Epoch: to.epoch, Stager: s.Name, Refusals: refusals},
	}
}

// outbox gathers items by sender, so that a step sends one message to each. Groups are in
// the order of their first items, because effects must not depend on the order of a map.
type outbox[T any] struct {
	groups []group[T]
	index  map[sender]int
	last   int // group of the last item: most often the next one belongs to it, too
}

type group[T any] struct {
	of    sender
	items []T
}

func (o *outbox[T]) add(of sender, item T) {
	if o.last >= len(o.groups) || o.groups[o.last].of != of {
		o.last = o.find(of)
	}
	g := &o.groups[o.last]
	g.items = append(g.items, item)
}

func (o *outbox[T]) find(of sender) int {
	at, known := o.index[of]
	if !known {
		if o.index == nil {
			o.index = make(map[sender]int)
		}
		at = len(o.groups)
		o.groups = append(o.groups, group[T]{of: of})
		o.index[of] = at
	}
	return at
}

// flush passes all items to send, at most itemsPerMessage at a time, and forgets them.
func (o *outbox[T]) flush(send func(sender, []T)) {
	for _, g := range o.groups {
		for part := range slices.Chunk(g.items, itemsPerMessage) {
			send(g.of, part)
		}
	}
	o.groups = nil
	clear(o.index)
}
