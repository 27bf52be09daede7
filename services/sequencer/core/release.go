package core

import (
	"bytes"
	"slices"
	"time"

	"laneway.dev/internal/core/ordered"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/ticketing"
)

// firstRelease is a batch among those released in this turn that Effects.Released names.
type firstRelease struct {
	index  int
	staged time.Time
	held   *messages.StagedBatch
}

// sentRelease is a batch that was sent, and the one that the lane holds.
type sentRelease struct{ sent, held *messages.StagedBatch }

// keepTraces gives the batches that are held the trace contexts that the shell has set.
func (c *Core) keepTraces() {
	for _, s := range c.sent {
		s.held.Trace = s.sent.Trace
	}
	c.sent = nil
}

func (c *Core) staged(now time.Time, batches []messages.StagedBatch) {
	c.released = slices.Grow(c.released, len(batches))
	for i := range batches {
		if !c.inline.admit(&batches[i]) {
			c.stats.Dropped++
			continue
		}
		b := batches[i] // a copy: a lane must not keep the other batches of the message in memory
		b.Inline = bytes.Clone(b.Inline)
		lane := c.lane(b.Lane, b.Floor, now)
		if lane.isRefused(&b) {
			continue
		}
		turns, arrival := lane.Staged(b.Number, b.Floor, &b, now)
		if arrival != ticketing.Duplicate {
			c.stats.Completions++
		}
		if arrival == ticketing.Early {
			c.stats.Early++
		}
		c.release(lane, turns, withheld)
	}
}

func (c *Core) advance(now time.Time, lanes []messages.LaneProgress) {
	for _, p := range lanes {
		lane := c.lane(p.Lane, p.Floor, now)
		turns, missing := lane.Advance(p.Floor, p.Highest, now, c.heartbeat, missingPerLane)
		c.release(lane, turns, withheld)
		if len(missing) > 0 {
			c.missing = append(c.missing, messages.LaneNumbers{Lane: p.Lane, Numbers: missing})
		}
	}
}

// releaseAgain repeats at once the releases that the replicator misses.
func (c *Core) releaseAgain(now time.Time, lanes []messages.LaneNumbers) {
	for _, l := range lanes {
		lane := c.lanes[l.Lane]
		if lane == nil || len(l.Numbers) == 0 {
			continue
		}
		c.release(lane, lane.Again(l.Numbers[0], now, 0), whole)
	}
}

// hello repeats, for a new owner of the log, the releases of all batches that are not
// resolved. The lanes are sorted, because effects must not depend on the order of a map.
func (c *Core) hello(now time.Time, term uint64) {
	for _, name := range ordered.Keys(c.lanes) {
		lane := c.lanes[name]
		c.release(lane, lane.Again(0, now, 0), whole)
	}
	c.helloTerm = max(c.helloTerm, term)
}

func (c *Core) release(lane *lane, turns []ticketing.Turn[*messages.StagedBatch], again repeats) {
	for i := range turns {
		b := turns[i].Result
		b.Floor = lane.Floor()
		if turns[i].Since.IsZero() {
			c.stats.Repeated++
		} else {
			c.stats.Released++
			if b.Trace.Parent != "" {
				c.first = append(c.first, firstRelease{len(c.released), turns[i].Since, b})
			}
		}
		c.released = append(c.released, *b)
		if turns[i].Since.IsZero() && again == withheld {
			withhold(&c.released[len(c.released)-1])
		}
	}
}
