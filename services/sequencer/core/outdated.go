package core

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/ticketing"
)

// lane is the state of one lane.
type lane struct {
	*ticketing.Lane[*messages.StagedBatch]
	// refused has the keys of the objects that the log refuses, by ticket number. A result with
	// such a key may arrive late, or again, and would be released in place of a newer one.
	refused map[uint64][]string
}

// outdated forgets results that the log refuses, and reports their tickets as missing at once. The
// batches of the lane that were released after them wait again. A ticket that has another result
// meanwhile keeps it.
func (c *Core) outdated(results []messages.OutdatedResult) {
	for i := range results {
		r := &results[i]
		l := c.lanes[r.Lane]
		if l == nil || r.Number < l.Floor() {
			continue
		}
		l.refuse(r.Number, r.Key)
		if l.Forget(r.Number, func(b *messages.StagedBatch) bool { return b.Extent.Key == r.Key }) {
			c.stats.Outdated++
			c.missing = append(c.missing, messages.LaneNumbers{Lane: r.Lane, Numbers: []uint64{r.Number}})
		}
	}
}

func (l *lane) refuse(number uint64, key string) {
	if l.refused == nil {
		l.refused = make(map[uint64][]string)
	}
	if !slices.Contains(l.refused[number], key) {
		l.refused[number] = append(l.refused[number], key)
	}
}

// isRefused reports whether the log has refused a result.
func (l *lane) isRefused(b *messages.StagedBatch) bool {
	return len(l.refused) > 0 && slices.Contains(l.refused[b.Number], b.Extent.Key)
}

// forgetRefused drops the keys of tickets that are resolved.
func (l *lane) forgetRefused() {
	for number := range l.refused {
		if number < l.Floor() {
			delete(l.refused, number)
		}
	}
}

func (c *Core) lane(name string, floor uint64, now time.Time) *lane {
	l := c.lanes[name]
	if l == nil {
		l = &lane{Lane: ticketing.NewLane[*messages.StagedBatch](floor, now)}
		c.lanes[name] = l
	}
	return l
}
