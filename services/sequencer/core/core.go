// Package core decides when the staged batches of the partitions of one log are released, which
// frontends are fenced (admit), and what this sequencer does when it is fenced itself. The order
// within one lane is decided in pkg/ticketing.
//
// It owns the lanes of the partitions: the batches that are staged and wait for an earlier
// ticket, and those that were released and are not resolved. A Log receives events and
// the time, and returns effects as data. The order of the effects depends on nothing else. A
// Log has a core for each partition. It never touches the stored log, looks into no payload, and stores nothing: after a restart, the heartbeats
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

// Stats counts what happened. Early divided by Completions is the share of
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

// Event is an input of a Log: a messages.Message that has arrived, Added, Removed, EpochTaken or HandOver.
type Event any

// EpochTaken reports that the sequencer has taken this epoch of the log.
type EpochTaken struct{ Epoch uint64 }

// Effects is what a step asks the shell to do.
type Effects struct {
	Send []messages.Envelope
	// Released lists the batches in Send that have a trace context and are released for
	// the first time.
	Released []Released
	// TakeEpoch is not 0 if this sequencer is fenced. The shell MUST take an epoch above
	// it and report EpochTaken, or end the log if another sequencer owns it. Until
	// then the log continues with the old epoch. Nothing is lost: the releases that a
	// replicator drops are repeated, and the frontend has the batches staged again that
	// a log held which has ended.
	TakeEpoch uint64
}

// Released is the first release of a batch. Batch points into Send. The shell may replace
// its trace context until the next step. Repeated releases then have the new trace context
// as well, because the first one may be lost.
type Released struct {
	Partition protocol.Partition
	Batch     *messages.StagedBatch
	Staged    time.Time // when the batch began to wait for its turn
	At        time.Time
}

// Core releases the batches of one partition. It belongs to a Log.
type Core struct {
	partition protocol.Partition
	epoch     uint64 // of this sequencer
	fencedBy  uint64 // the epoch above which one is being taken; 0 if none is
	heartbeat time.Duration

	frontend uint64 // highest frontend epoch heard of
	lanes    map[string]*lane
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

// step handles events in their order and returns the effects. It sends one message per
// destination, unless that would be too large. A core that is not idle has a beat every heartbeat.
func (c *Core) step(now time.Time, events []Event, beat bool) Effects {
	c.keepTraces()
	c.fx = Effects{}
	for _, e := range events {
		c.handle(now, e)
	}
	if beat {
		c.forgetIdle(now)
	}
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
	case HandOver:
		c.handOver()
	case messages.Message:
		c.receive(now, e)
	}
}

// idle reports whether nothing is due without an event, however much time passes.
func (c *Core) idle() bool { return len(c.lanes) == 0 && c.stats.Lanes == 0 }

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

// forgetIdle removes the lanes without batches and those whose
// frontend counts as gone.
func (c *Core) forgetIdle(now time.Time) {
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
