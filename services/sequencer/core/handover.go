package core

import (
	"cmp"
	"slices"

	"laneway.dev/internal/core/ordered"
	"laneway.dev/pkg/messages"
)

// HandOver makes a log pass on to its next owner what it holds: as Staged, on the subject of the log. It MUST be the
// last event of a log, and the next owner MUST have subscribed to the subject.
type HandOver struct{}

// handOverBytes bounds the payloads in one message.
const handOverBytes = 256 << 10

// handOver passes on the results of all tickets that are not resolved. Those that were released are among them,
// because the releases, or what they lead to, may be lost.
func (c *Core) handOver() {
	var batches []messages.StagedBatch
	size := 0
	flush := func() {
		if len(batches) > 0 {
			c.fx.Send = append(c.fx.Send, messages.Envelope{
				Subject: messages.SequencerSubject(c.partition),
				Message: messages.Staged{Partition: c.partition, Epoch: c.frontend, Batches: batches},
			})
		}
		batches, size = nil, 0
	}
	for _, name := range ordered.Keys(c.lanes) {
		l := c.lanes[name]
		results := slices.SortedFunc(l.Results(), func(a, b *messages.StagedBatch) int { return cmp.Compare(a.Number, b.Number) })
		for _, r := range results {
			if len(batches) == itemsPerMessage || size+len(r.Inline) > handOverBytes {
				flush()
			}
			b := *r
			b.Floor = l.Floor()
			batches, size = append(batches, b), size+len(b.Inline)
		}
	}
	flush()
}
