// Package core decides when the staged batches of one partition are released, which frontends
// are fenced (admit), and what this sequencer does when it is fenced itself. The order within
// one lane is decided in pkg/ticketing.
//
// It owns the lanes of the partition: the batches that are staged and wait for an earlier
// ticket, and those that were released and are not resolved. A Core receives events and
// the time, and returns effects as data. The order of the effects depends on nothing else. A
// Core never touches the log, looks into no payload, and stores nothing: after a restart, the heartbeats
// of the frontend and the batches that are staged again rebuild its state.
package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	// itemsPerMessage bounds a message; a lane may hold far more than fits one.
	itemsPerMessage = 2000
	// missingPerLane bounds how many missing tickets one heartbeat reports.
	missingPerLane = 1000
	// silentHeartbeats is how many heartbeats may pass without a message about a lane
	// before its frontend counts as gone.
	silentHeartbeats = 25
)

// Stats counts what happened on a partition. Early divided by Completions is the share of
// uploads that finished out of order.
type Stats struct {
	Completions uint64 // staged results that were not known yet
	Early       uint64 // those among them that had to wait for an earlier ticket
	Released    uint64 // first releases
	Repeated    uint64 // releases that were repeated
	Outdated    uint64 // results that the log has refused because of their age
	Dropped     uint64 // inline results for which there was no memory
	Lanes       int
	Waiting     int
}

// Event is an input of a Core: a messages.Message that has arrived, EpochTaken or Replaced.
type Event any

// EpochTaken reports that the sequencer has taken this epoch, because this core or that of
// another partition requested it with TakeEpoch.
type EpochTaken struct{ Epoch uint64 }

// Replaced reports that a younger sequencer exists.
type Replaced struct{}

// Effects is what a step asks the shell to do.
type Effects struct {
	Send []messages.Envelope
	// Released lists the batches in Send that have a trace context and are released for
	// the first time.
	Released []Released
	// TakeEpoch is not 0 if this sequencer is fenced. The shell MUST take an epoch above
	// it and report EpochTaken, or report Replaced if a younger sequencer has one. Until
	// then the core continues with the old epoch. Nothing is lost: the releases that a
	// replicator drops are repeated.
	TakeEpoch uint64
	// Ended is set if the sequencer was replaced. It sends nothing more, and answers for no
	// batch: the frontend has the batches that it held staged again.
	Ended bool
}

// Released is the first release of a batch. Batch points into Send. The shell may replace
// its trace context until the next step. Repeated releases then have the new trace context
// as well, because the first one may be lost.
type Released struct {
	Batch  *messages.StagedBatch
	Staged time.Time // when the batch began to wait for its turn
	At     time.Time
}

// Core releases the batches of one partition. It belongs to one goroutine.
type Core struct {
	partition protocol.Partition
	epoch     uint64 // of this sequencer
	fencedBy  uint64 // the epoch above which one is being taken; 0 if none is
	replaced  bool
	heartbeat time.Duration

	frontend uint64 // highest frontend epoch heard of
	lanes    map[string]*lane
	swept    time.Time // when idle lanes were last forgotten
	inline   inline
	stats    Stats

	// What this turn sends.
	fx        Effects
	released  []messages.StagedBatch
	first     []firstRelease
	sent      []sentRelease // of the last turn
	helloTerm uint64
	missing   []messages.LaneNumbers
	announced bool
	fenced    map[uint64]bool // epochs of frontends
}

// NewCore returns the core of a partition for a sequencer of this epoch.
func NewCore(partition protocol.Partition, epoch uint64, heartbeat time.Duration) *Core {
	return &Core{
		partition: partition, epoch: epoch, heartbeat: heartbeat,
		lanes: make(map[string]*lane), fenced: make(map[uint64]bool),
	}
}

// Step handles events in their order and returns the effects. It sends one message per
// destination, unless that would be too large. Without events it only does what is due at
// this time.
func (c *Core) Step(now time.Time, events []Event) Effects {
	c.keepTraces()
	c.fx = Effects{}
	for _, e := range events {
		c.handle(now, e)
	}
	if c.replaced {
		return Effects{Ended: true}
	}
	c.forgetIdle(now)
	c.flush(now)
	return c.fx
}

func (c *Core) handle(now time.Time, e Event) {
	switch e := e.(type) {
	case EpochTaken:
		c.epoch = max(c.epoch, e.Epoch)
		if c.fencedBy <= c.epoch {
			c.fencedBy = 0
		}
	case Replaced:
		c.replaced = true
	case messages.Message:
		if e.Of() == c.partition { // not of an earlier incarnation of the topic
			c.receive(now, e)
		}
	}
}

func (c *Core) receive(now time.Time, m messages.Message) {
	switch m := m.(type) {
	case messages.Staged:
		if c.admit(now, m.Epoch) {
			c.staged(now, m.Batches)
		}
	case messages.Advance:
		if c.admit(now, m.Epoch) {
			c.advance(now, m.Lanes)
		}
	case messages.Announce:
		if c.admit(now, m.Epoch) {
			c.announced = true
		}
	case messages.ReleaseAgain:
		if m.Epoch == c.frontend {
			c.releaseAgain(now, m.Lanes)
		}
	case messages.Outdated:
		if m.Epoch == c.frontend {
			c.outdated(m.Results)
		}
	case messages.Hello:
		c.hello(now, m.Term)
	case messages.Fenced:
		c.fencedSelf(m.Epoch)
	}
}

// forgetIdle removes, once per heartbeat, the lanes without batches and those whose
// frontend counts as gone.
func (c *Core) forgetIdle(now time.Time) {
	if now.Sub(c.swept) < c.heartbeat {
		return
	}
	c.swept = now
	silent := now.Add(-silentHeartbeats * c.heartbeat)
	waiting := 0
	c.inline = inline{}
	for name, lane := range c.lanes {
		if lane.Idle(silent) {
			delete(c.lanes, name)
			continue
		}
		lane.forgetRefused()
		waiting += lane.Waiting()
		c.inline.count(lane)
	}
	c.stats.Lanes, c.stats.Waiting = len(c.lanes), waiting
}

// Stats returns what happened so far.
func (c *Core) Stats() Stats { return c.stats }
