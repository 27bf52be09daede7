package partition

import (
	"laneway.dev/internal/core/generation"
	"laneway.dev/pkg/messages"
)

// Outdated are staged results that the log refuses, for the sequencer.
type Outdated struct {
	Epoch   uint64 // of the frontend
	Results []messages.OutdatedResult
}

// Generation returns the generation of the object with a batch. It is messages.NoGeneration for
// a batch that lies in no object.
func Generation(x messages.Extent) uint64 {
	if x.Key == "" {
		return messages.NoGeneration
	}
	return generation.OfKey(x.Key)
}

// refuseOutdated reports whether any of the first n items of the queue is a batch whose object is
// below the watermark. Such a batch cannot be appended, and it is no verdict about its ticket: the
// sequencer is told to have it staged again. Everything else in the queue may rest on the batch,
// as on one whose append has failed. So it is dropped as well, and the sequencer repeats it.
//
// Duplicates are not refused. Their objects are not needed.
func (c *Core) refuseOutdated(n int, watermark uint64) bool {
	var refused []messages.OutdatedResult
	for i := range c.queue[:n] {
		p := &c.queue[i]
		if p.fence == nil && !p.duplicate && Generation(p.batch.Extent) < watermark {
			refused = append(refused, messages.OutdatedResult{Ticket: p.batch.Ticket, Key: p.batch.Extent.Key})
		}
	}
	if len(refused) == 0 {
		return false
	}
	c.stats.Outdated += uint64(len(refused))
	c.fx.Outdated = append(c.fx.Outdated, Outdated{c.queue[0].epochs.Frontend, refused})
	c.dropAccepted()
	c.tail = tail{c.nextOffset, c.lastID}
	return true
}
