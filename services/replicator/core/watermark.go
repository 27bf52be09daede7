package core

import (
	"laneway.dev/internal/core/generation"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/partition"
)

// Generation reports the newest generation of objects that the shell knows. It may be reported
// again, or late.
type Generation struct{ Newest uint64 }

// watermark is what a core knows about the generations of objects.
//
// An object below the watermark of all logs may be deleted, unless the history of a log leads to
// it. So the watermark is at most the generation of every object that an entry refers to which is
// not archived, and nothing below it is taken into the log any more. Example: the generation is 9,
// and the log has an unarchived batch in an object of generation 6. The watermark is 6. Once the
// batch is archived, it is 7. A batch in another object of generation 6, whose release arrives
// only then, is refused: the object may be gone already.
type watermark struct {
	newest uint64 // generation; 0 if it is not known
	logged uint64 // of the newest entry in the log; only this one counts
	flight uint64 // of the entry under way
	asked  uint64 // the generation for which an entry was last appended; 0 if another one may follow
}

// generation notes a newer generation.
func (c *Core) generation(e Generation) {
	c.watermark.newest = max(c.watermark.newest, e.Newest)
	c.tellGenerations()
}

// raise sets the watermark that stands in the log.
func (c *Core) raise(logged uint64) {
	c.watermark.logged = logged
	c.tellGenerations()
}

// tellGenerations tells the partition what the log knows of generations.
func (c *Core) tellGenerations() {
	c.partition.SetGenerations(partition.Generations{Newest: c.watermark.newest, Watermark: c.watermark.logged})
}

// raised returns the watermark for an entry that is about to be appended. It is at most the
// generation of everything that the entry refers to.
func (c *Core) raised(entry *messages.Entry) uint64 {
	w := &c.watermark
	mark := generation.Watermark(w.newest)
	if mark <= w.logged {
		return w.logged
	}
	mark = min(mark, c.partition.LowestGeneration())
	for i := range entry.Batches {
		mark = min(mark, partition.Generation(entry.Batches[i].Extent))
	}
	return max(mark, w.logged)
}

// mayRaise reports whether an entry is to be appended for the watermark alone. A log that nothing
// is appended to would otherwise keep all objects from being deleted.
func (c *Core) mayRaise() bool {
	w := &c.watermark
	return w.asked < w.newest && c.raised(&messages.Entry{}) > w.logged
}

// heldByHistory reports whether the watermark of an entry is as low as the objects of the history that the
// entry moves to. They hold back no later entry, so another one follows: on a quiet log, there may be none
// otherwise before the next generation.
func (c *Core) heldByHistory(watermark uint64) bool {
	of, moves := c.partition.NextGeneration()
	return moves && watermark == of && watermark < generation.Watermark(c.watermark.newest)
}
