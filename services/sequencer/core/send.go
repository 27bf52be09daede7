package core

import (
	"slices"
	"time"

	"laneway.dev/internal/core/ordered"
	"laneway.dev/pkg/messages"
)

// flush turns the results of the handlers into envelopes.
func (c *Core) flush(now time.Time) {
	c.flushReleases(now)
	c.flushMissing()
	if c.announced {
		c.toFrontend(c.frontend, messages.Announced{Partition: c.partition, Epoch: c.frontend})
		c.announced = false
	}
	for _, epoch := range ordered.Keys(c.fenced) {
		c.toFrontend(epoch, messages.Fenced{Partition: c.partition, Epoch: c.frontend})
	}
	clear(c.fenced)
}

func (c *Core) flushReleases(now time.Time) {
	if len(c.released) == 0 && c.helloTerm == 0 {
		return
	}
	subject := messages.ReplicatorSubject(c.partition)
	empty := messages.Release{
		Partition: c.partition, Epoch: c.frontend, SequencerEpoch: c.epoch, HelloTerm: c.helloTerm,
	}
	if len(c.released) == 0 {
		c.fx.Send = append(c.fx.Send, messages.Envelope{Subject: subject, Message: empty})
	}
	for part := range slices.Chunk(c.released, itemsPerMessage) {
		release := empty
		release.Batches = part
		c.fx.Send = append(c.fx.Send, messages.Envelope{Subject: subject, Message: release})
	}
	for _, f := range c.first {
		sent := &c.released[f.index]
		c.fx.Released = append(c.fx.Released, Released{Partition: c.partition, Batch: sent, Staged: f.staged, At: now})
		c.sent = append(c.sent, sentRelease{sent, f.held})
	}
	c.released, c.first, c.helloTerm = nil, nil, 0
}

// flushMissing bounds the ticket numbers of a message and not its lanes, because one lane may
// miss many numbers.
func (c *Core) flushMissing() {
	from, numbers := 0, 0
	for i := range c.missing {
		if numbers += len(c.missing[i].Numbers); numbers > itemsPerMessage {
			c.sendMissing(c.missing[from:i])
			from, numbers = i, len(c.missing[i].Numbers)
		}
	}
	c.sendMissing(c.missing[from:])
	c.missing = nil
}

func (c *Core) sendMissing(lanes []messages.LaneNumbers) {
	if len(lanes) > 0 {
		c.toFrontend(c.frontend, messages.Missing{Partition: c.partition, Epoch: c.frontend, Lanes: lanes})
	}
}

func (c *Core) toFrontend(epoch uint64, m messages.Message) {
	c.fx.Send = append(c.fx.Send, messages.Envelope{Subject: messages.FrontendSubject(c.partition, epoch), Message: m})
}
