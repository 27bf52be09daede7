package world

import (
	"fmt"
	"strconv"

	"laneway.dev/pkg/protocol"
	"laneway.dev/pkg/reading"
	"laneway.dev/services/frontend/core/fetch"
	"laneway.dev/test/sim/check"
)

// Consumer reads a partition in one fetch after the other. Its Reader decides, as in the Go
// client.
type Consumer struct {
	Number    int
	Partition int                   // its index
	Wanted    protocol.FetchRequest // of a consumer to which nothing was delivered
	Reader    reading.Reader
	Ended     bool // everything that was wanted is delivered

	attempt int  // counts its fetches
	open    bool // whether the newest fetch has not ended, as far as the consumer knows
}

func (c *Consumer) String() string { return fmt.Sprintf("consumer-%d", c.Number) }

// Request returns the next request of a consumer. The frontend that answers it is the one for
// which OpenFetch is called.
func (w *World) Request(c *Consumer) protocol.FetchRequest {
	c.attempt++
	c.open = true
	request := c.Reader.Request(c.Wanted)
	offset, placed := c.Reader.Next()
	seen := check.Fetching{Consumer: c.Number, Placed: placed, Offset: offset, Earliest: c.Wanted.From == protocol.FromEarliest, Latest: c.Wanted.From == protocol.FromLatest}
	if c.Wanted.Time != nil {
		seen.Time = *c.Wanted.Time
	}
	w.See(c.Partition, seen)
	return request
}

// Attempt returns the number of the newest fetch of a consumer.
func (c *Consumer) Attempt() int { return c.attempt }

// Receive hands a message of a fetch to its consumer.
func (w *World) Receive(f *Fetch, m FetchMessage) {
	c := f.Consumer
	if m.Attempt != c.attempt || !c.open || c.Ended {
		return // of a fetch that the consumer has left
	}
	if m.Start != fetch.Unknown {
		c.Reader.Starts(m.Start)
	}
	if m.Status == nil {
		w.receiveFrame(f, m)
		return
	}
	w.Say("  %s gets the status %s %s", c, m.Status.Code, m.Status.Description)
	s := m.Status
	said := reading.Status{Code: s.Code, Err: s.Err, Next: s.Next, GapFrom: s.GapFrom, GapTo: s.GapTo}
	action, why := c.Reader.Status(said, true)
	switch action {
	case reading.Credit:
		w.credit(f)
	case reading.PassGap, reading.PassDamage:
		w.See(c.Partition, check.Passed{Consumer: c.Number, First: s.GapFrom, Last: s.GapTo, Damage: action == reading.PassDamage})
		c.Reader.Passed(s.GapTo)
		if action == reading.PassDamage {
			w.refetch(c)
		}
	case reading.PassDeleted:
		w.See(c.Partition, check.Overtaken{Consumer: c.Number, First: s.GapFrom, Last: s.GapTo})
		c.Reader.Passed(s.GapTo)
		w.refetch(c)
	case reading.Leave:
		w.leave(f, why.Error())
	case reading.FetchAgain:
		w.refetch(c)
	case reading.End:
		w.end(c)
	case reading.Fail:
		if s.Err != nil && s.Err.Code == protocol.CodeOffsetOutOfRange && c.Wanted.Offset != nil && s.LogStart > 0 {
			w.outOfRange(c, s)
			return
		}
		w.violated(w.Partitions[c.Partition], "I9: %s of %s ends with %v", f, f.By, why)
		w.refetch(c)
	}
}

// outOfRange lets a consumer that has named an offset that is gone start where the log does.
func (w *World) outOfRange(c *Consumer, s *fetch.Status) {
	offset, _ := c.Reader.Next()
	w.See(c.Partition, check.OutOfRange{Consumer: c.Number, Offset: offset, Start: s.LogStart})
	c.Reader.StartAt(s.LogStart)
	w.refetch(c)
}

func (w *World) receiveFrame(f *Fetch, m FetchMessage) {
	c := f.Consumer
	records := max(1, int64(m.Records))
	from, err := c.Reader.Accept(m.Offset, records)
	if err != nil {
		w.leave(f, err.Error())
		return
	}
	if w.Tracing {
		w.Say("  %s gets the offsets %d to %d", c, m.Offset, m.Offset+records-1)
	}
	delivered := check.Delivered{Consumer: c.Number, Offset: m.Offset, Records: records, From: from}
	if m.Records > 0 {
		delivered.Batch = check.ReadBatch(m.Frame)
	} else {
		delivered.Batch = check.ReadRecord(m.Frame)
	}
	w.See(c.Partition, delivered)
	if c.Reader.Took(from, m.Offset+records, len(m.Frame)) {
		w.credit(f)
	}
	if c.Reader.Complete() {
		w.end(c)
		w.Fetches.ToFetch(f, protocol.CancelFetch)
	}
}

// credit grants what was delivered.
func (w *World) credit(f *Fetch) {
	r := &f.Consumer.Reader
	w.Fetches.ToFetch(f, strconv.FormatInt(r.Credit(), 10))
	r.Credited()
}

// leave ends a fetch in which messages were lost.
func (w *World) leave(f *Fetch, why string) {
	w.Say("  %s leaves %s: %s", f.Consumer, f, why)
	w.Fetches.ToFetch(f, protocol.CancelFetch)
	w.refetch(f.Consumer)
}

func (w *World) refetch(c *Consumer) {
	c.open = false
	w.Fetches.Refetch(c)
}

// GiveUp ends the newest fetch of a consumer, because nothing has arrived for too long or
// because there is no frontend.
func (w *World) GiveUp(c *Consumer) {
	if c.open && !c.Ended {
		w.refetch(c)
	}
}

// Satisfied reports whether a consumer has everything that it wants. A consumer that follows
// the log must have reached its end.
func (w *World) Satisfied(c *Consumer) bool {
	next, placed := c.Reader.Next()
	switch state := w.Partitions[c.Partition].Log.State(); {
	case c.Ended || !c.Wanted.Follow:
		return c.Ended
	case !placed && c.Wanted.From == protocol.FromEarliest:
		return state.History.Archived() && state.History.Start == state.Offset // there is no record
	default:
		return next == state.Offset
	}
}

// FinishedConsumer checks a consumer once faults have ended long ago.
func (w *World) FinishedConsumer(c *Consumer) {
	switch {
	case c.Wanted.Follow:
		next, placed := c.Reader.Next()
		w.See(c.Partition, check.Following{Consumer: c.Number, Placed: placed, Next: next})
	case !c.Ended:
		w.violated(w.Partitions[c.Partition], "I9: %s makes no progress", c)
	}
}

func (w *World) end(c *Consumer) {
	c.Ended, c.open = true, false
	next, _ := c.Reader.Next()
	w.See(c.Partition, check.Consumed{Consumer: c.Number, Next: next, Full: c.Reader.Complete()})
}
