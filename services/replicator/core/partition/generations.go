package partition

import (
	"fmt"
	"time"

	"laneway.dev/internal/core/generation"
	"laneway.dev/pkg/messages"
)

// Generations are what a log knows of the generations of objects: the newest one, and the
// watermark of its newest entry.
type Generations struct{ Newest, Watermark uint64 }

// SetGenerations tells the partition what its log knows. It MUST be called whenever that changes.
func (c *Core) SetGenerations(g Generations) { c.generations = g }

// LowestGeneration returns the lowest generation of the objects that the log refers to for this
// partition, or is about to refer to because its history moves; messages.NoGeneration if there is none.
func (c *Core) LowestGeneration() uint64 {
	a := &c.archive
	if a.next != nil {
		return min(a.nextGeneration, a.runs.generation(a.next.End))
	}
	return a.runs.generation(a.history.End)
}

// NextGeneration returns the lowest generation of the objects that are new in the history that the
// next entry carries, and whether the history moves.
func (c *Core) NextGeneration() (of uint64, moves bool) {
	return c.archive.nextGeneration, c.archive.next != nil
}

// RefuseHistory fails a job whose result was accepted and is outdated before an entry could carry it.
func (c *Core) RefuseHistory(now time.Time) {
	a := &c.archive
	if a.next != nil && a.nextGeneration < c.generations.Watermark {
		if a.next = nil; a.vain() { // since an update of the retention
			a.job = nil
			return
		}
		c.jobFailed(now, c.outdatedObjects(a.nextGeneration))
	}
}

func (c *Core) outdatedObjects(of uint64) string {
	return fmt.Sprintf("its objects are of generation %d, and the log takes none below %d, because they may have been deleted", of, c.generations.Watermark)
}

// resultGeneration returns the lowest generation of the objects of a job's result.
func resultGeneration(m *messages.Archived) uint64 {
	return min(m.Generation, generation.OfKey(m.History.Manifest))
}
