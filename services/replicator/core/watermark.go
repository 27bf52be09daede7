package core

import (
	"fmt"
	"time"

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

// generationOf returns the generation of the object of a batch, or messages.NoGeneration.
func generationOf(x messages.Extent) uint64 { return partition.Generation(x) }

// generation notes a newer generation.
func (c *Core) generation(e Generation) { c.watermark.newest = max(c.watermark.newest, e.Newest) }

// raised returns the watermark for an entry that is about to be appended. It is at most the
// generation of everything that the entry refers to.
func (c *Core) raised(entry *messages.Entry) uint64 {
	w := &c.watermark
	mark := generation.Watermark(w.newest)
	if mark <= w.logged {
		return w.logged
	}
	end := c.archive.history.End
	if next := c.archive.next; next != nil {
		end, mark = next.End, min(mark, c.archive.nextGeneration)
	}
	mark = min(mark, c.archive.runs.generation(end))
	for i := range entry.Batches {
		mark = min(mark, generationOf(entry.Batches[i].Extent))
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
	a := &c.archive
	return a.next != nil && watermark == a.nextGeneration && watermark < generation.Watermark(c.watermark.newest)
}

// refuseHistory fails a job whose result was accepted and is outdated before an entry could carry it.
func (c *Core) refuseHistory(now time.Time) {
	a := &c.archive
	if a.next != nil && a.nextGeneration < c.watermark.logged {
		if a.next = nil; a.vain() { // since an update of the retention
			a.job = nil
			return
		}
		c.jobFailed(now, c.outdatedObjects(a.nextGeneration))
	}
}

func (c *Core) outdatedObjects(of uint64) string {
	return fmt.Sprintf("its objects are of generation %d, and the log takes none below %d, because they may have been deleted", of, c.watermark.logged)
}

// resultGeneration returns the lowest generation of the objects of a job's result.
func resultGeneration(m *messages.Archived) uint64 {
	return min(m.Generation, generation.OfKey(m.History.Manifest))
}
