package core

import (
	"slices"

	"laneway.dev/internal/core/ordered"
	"laneway.dev/pkg/messages"
)

func (c *Core) send(subject string, m messages.Message) {
	c.fx.Send = append(c.fx.Send, messages.Envelope{Subject: subject, Message: m})
}

// itemsPerMessage bounds the items of one message, which must stay below NATS' max_payload.
const itemsPerMessage = 2000

// flush turns the effects of the partition into messages, one per destination unless they
// are too many. The order does not depend on maps, so that a run can be repeated exactly.
func (c *Core) flush() {
	fx := c.partition.Effects()
	c.fx.Committed = fx.Committed
	c.fx.AskTime = c.fx.AskTime || fx.AskTime
	c.fx.Warnings = append(c.fx.Warnings, fx.Warnings...)
	c.fx.Send = append(c.fx.Send, fx.Send...)
	for _, o := range fx.Outcomes {
		for part := range slices.Chunk(o.Outcomes, itemsPerMessage) {
			c.send(messages.FrontendSubject(c.id, o.Epoch), messages.Outcomes{Partition: c.id, Epoch: o.Epoch, Outcomes: part})
		}
	}
	if c.staleSequencer {
		c.send(messages.SequencerSubject(c.id), messages.Fenced{Partition: c.id, Epoch: c.epochs.Sequencer})
		c.staleSequencer = false
	}
	for _, epoch := range ordered.Keys(c.staleFrontends) {
		c.send(messages.FrontendSubject(c.id, epoch), messages.Fenced{Partition: c.id, Epoch: c.epochs.Frontend})
	}
	clear(c.staleFrontends)
	for _, o := range fx.Outdated {
		for part := range slices.Chunk(o.Results, itemsPerMessage) {
			c.send(messages.SequencerSubject(c.id), messages.Outdated{Partition: c.id, Epoch: o.Epoch, Results: part})
		}
	}
	for part := range slices.Chunk(fx.Again, itemsPerMessage) {
		c.send(messages.SequencerSubject(c.id), messages.ReleaseAgain{Partition: c.id, Epoch: c.epochs.Frontend, Lanes: part})
	}
}
