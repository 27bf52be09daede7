// Package sequencer puts staged batches back into the order of their tickets.
//
// It owns, per partition, the lanes with something in flight: what is staged
// and waits for an earlier ticket, and what was released and is not resolved.
// It never touches payloads or the log, and it keeps nothing on disk: whatever
// it forgets is repaired by the heartbeat of the frontend.
package sequencer

import (
	"maps"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/pkg/ticketing"
)

const (
	// itemsPerMessage bounds a message; a lane may hold far more than fits one.
	itemsPerMessage = 2000
	// missingPerLane bounds how many missing tickets one heartbeat reports.
	missingPerLane = 1000
	// silentHeartbeats is how many heartbeats a lane may be silent before its
	// frontend is taken for gone.
	silentHeartbeats = 25
)

// Stats counts what happened on a partition. Early over Completions is the
// share of uploads that finished out of order.
type Stats struct {
	Completions uint64 // staged results that were not known yet
	Early       uint64 // of those, how many had to wait for an earlier ticket
	Released    uint64 // first releases
	Repeated    uint64 // releases that were repeated
	Lanes       int
	Waiting     int
}

// Observer learns of the first release of a batch, and may replace its trace
// context by that of the span it makes. It is called on the core's goroutine.
type Observer func(batch *messages.StagedBatch, staged, released time.Time)

// Core decides what is released when, for one partition. It is pure: messages
// and time come in, envelopes go out. It belongs to one goroutine.
type Core struct {
	partition protocol.Partition
	epoch     uint64 // of this sequencer
	heartbeat time.Duration
	observe   Observer

	frontend uint64 // highest frontend epoch heard of
	lanes    map[string]*ticketing.Lane[*messages.StagedBatch]
	swept    time.Time // when idle lanes were last forgotten
	stats    Stats

	// What this turn sends.
	out       []messages.Envelope
	released  []messages.StagedBatch
	helloTerm uint64
	missing   []messages.LaneNumbers
	announced bool
	fenced    map[uint64]bool
}

// NewCore returns the core of a partition for a sequencer of this epoch.
// observe may be nil.
func NewCore(partition protocol.Partition, epoch uint64, heartbeat time.Duration, observe Observer) *Core {
	return &Core{
		partition: partition, epoch: epoch, heartbeat: heartbeat, observe: observe,
		lanes: make(map[string]*ticketing.Lane[*messages.StagedBatch]),
	}
}

// SetEpoch gives the core a higher epoch of its sequencer.
func (c *Core) SetEpoch(epoch uint64) { c.epoch = epoch }

// Step takes what arrived, in order, and returns what is to be sent: one
// message per destination, unless it would be too large. Without messages it
// only does what time asks for.
func (c *Core) Step(now time.Time, arrived []messages.Message) []messages.Envelope {
	c.out = nil
	for _, m := range arrived {
		if m.Of() != c.partition {
			continue // of an earlier incarnation of the topic
		}
		c.handle(now, m)
	}
	c.forgetIdle(now)
	c.flush()
	return c.out
}

func (c *Core) handle(now time.Time, m messages.Message) {
	switch m := m.(type) {
	case messages.Staged:
		if c.admit(m.Epoch) {
			c.staged(now, m.Batches)
		}
	case messages.Advance:
		if c.admit(m.Epoch) {
			c.advance(now, m.Lanes)
		}
	case messages.Announce:
		if c.admit(m.Epoch) {
			c.announced = true
		}
	case messages.ReleaseAgain:
		if m.Epoch == c.frontend {
			c.releaseAgain(now, m.Lanes)
		}
	case messages.Hello:
		c.hello(now, m.Term)
	}
}

// admit says whether a message of a frontend epoch counts. A newer epoch makes
// all lanes of the older one void; the owner of an older one is told.
func (c *Core) admit(epoch uint64) bool {
	if epoch < c.frontend {
		c.fence(epoch)
		return false
	}
	if epoch > c.frontend {
		c.flushReleases()
		if c.announced {
			c.announced = false
			c.fence(c.frontend)
		}
		c.frontend = epoch
		clear(c.lanes)
		c.missing = nil
	}
	return true
}

func (c *Core) fence(epoch uint64) {
	if c.fenced == nil {
		c.fenced = make(map[uint64]bool)
	}
	c.fenced[epoch] = true
}

func (c *Core) staged(now time.Time, batches []messages.StagedBatch) {
	c.released = slices.Grow(c.released, len(batches))
	for i := range batches {
		b := batches[i] // of its own: a lane must not keep the others of the message
		lane := c.lane(b.Lane, b.Floor, now)
		turns, arrival := lane.Staged(b.Number, b.Floor, &b, now)
		if arrival != ticketing.Duplicate {
			c.stats.Completions++
		}
		if arrival == ticketing.Early {
			c.stats.Early++
		}
		c.release(lane, now, turns)
	}
}

func (c *Core) advance(now time.Time, lanes []messages.LaneProgress) {
	for _, p := range lanes {
		lane := c.lane(p.Lane, p.Floor, now)
		turns, missing := lane.Advance(p.Floor, p.Highest, now, c.heartbeat, missingPerLane)
		c.release(lane, now, turns)
		if len(missing) > 0 {
			c.missing = append(c.missing, messages.LaneNumbers{Lane: p.Lane, Numbers: missing})
		}
	}
}

// releaseAgain repeats at once what the replicator says it has lost.
func (c *Core) releaseAgain(now time.Time, lanes []messages.LaneNumbers) {
	for _, l := range lanes {
		lane := c.lanes[l.Lane]
		if lane == nil || len(l.Numbers) == 0 {
			continue
		}
		c.release(lane, now, lane.Again(l.Numbers[0], now, 0))
	}
}

// hello repeats everything that is not resolved for a new owner of the log.
func (c *Core) hello(now time.Time, term uint64) {
	for _, name := range slices.Sorted(maps.Keys(c.lanes)) {
		lane := c.lanes[name]
		c.release(lane, now, lane.Again(0, now, 0))
	}
	c.helloTerm = max(c.helloTerm, term)
}

func (c *Core) lane(name string, floor uint64, now time.Time) *ticketing.Lane[*messages.StagedBatch] {
	lane := c.lanes[name]
	if lane == nil {
		lane = ticketing.NewLane[*messages.StagedBatch](floor, now)
		c.lanes[name] = lane
	}
	return lane
}

func (c *Core) release(lane *ticketing.Lane[*messages.StagedBatch], now time.Time, turns []ticketing.Turn[*messages.StagedBatch]) {
	for i := range turns {
		b := turns[i].Result
		b.Floor = lane.Floor()
		switch {
		case turns[i].Since.IsZero():
			c.stats.Repeated++
		default:
			c.stats.Released++
			if c.observe != nil {
				c.observe(b, turns[i].Since, now) // a repetition carries the same trace context
			}
		}
		c.released = append(c.released, *b)
	}
}

// forgetIdle drops the lanes that need no memory, once per heartbeat.
func (c *Core) forgetIdle(now time.Time) {
	if now.Sub(c.swept) < c.heartbeat {
		return
	}
	c.swept = now
	silent := now.Add(-silentHeartbeats * c.heartbeat)
	waiting := 0
	for name, lane := range c.lanes {
		if lane.Idle(silent) {
			delete(c.lanes, name)
			continue
		}
		waiting += lane.Waiting()
	}
	c.stats.Lanes, c.stats.Waiting = len(c.lanes), waiting
}

// Stats returns what happened so far.
func (c *Core) Stats() Stats { return c.stats }
