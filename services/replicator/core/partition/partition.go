// Package partition decides about the batches of one partition: whose turn it is, which are
// duplicates, which are rejected, and which offsets the others get.
//
// It owns the lanes, message ids and producers of the partition, the end of its records,
// and what is accepted and not appended yet. It knows nothing of the log but that it
// consists of sections, which are appended one at a time: the owner of the log asks for the
// next section, and then resolves it or rolls it back. Everything is data, in an order that
// depends on nothing but the calls; it belongs to one goroutine.
package partition

import (
	"maps"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/producers"
)

// Settings are the limits and times of a partition.
type Settings struct {
	Heartbeat  time.Duration // how long a repair may take to answer before it is asked for again
	LaneExpiry time.Duration // idle lanes are evicted; must exceed messages.MaxDeadline
	MaxLanes   int           // lanes remembered; beyond it new ones are refused
	IDWindow   time.Duration // how long a Nats-Msg-Id is remembered
	MaxIDs     int           // message ids remembered; beyond it new ones are refused
	// MaxNameBytes bounds the bytes of all lane names, and of all message ids;
	// beyond it new ones are refused.
	MaxNameBytes int

	ProducerExpiry time.Duration // idle producers are forgotten
	MaxProducers   int           // producers remembered; beyond it new ones are refused
}

// Epochs are the highest ones that a log has seen of the services that send to it.
type Epochs struct{ Frontend, Sequencer uint64 }

// Effects is what a partition wants to have sent.
type Effects struct {
	Answers   []messages.Envelope    // to questions about producers, and to fences
	Outcomes  []Outcomes             // by rising frontend epoch
	Again     []messages.LaneNumbers // releases to repeat, from a number on; by lane
	Committed []Committed
}

// Outcomes are answers for the frontend of an epoch.
type Outcomes struct {
	Epoch    uint64
	Outcomes []messages.Outcome
}

// Committed is a batch whose commit has just become known, for telemetry.
type Committed struct {
	Batch  messages.StagedBatch
	Offset int64
	Since  time.Time // when its release arrived
}

// Stats counts what happened on a partition.
type Stats struct {
	Batches    uint64
	Records    uint64
	Duplicates uint64 // by sequence or message id
	Repeats    uint64 // releases that were known already
	Asks       uint64 // releases asked for again
	Refused    uint64 // batches, for their sequence
	Lanes      int
	IDs        int
	Producers  int
	NextOffset int64
}

// Core is what is known and decided of one partition.
type Core struct {
	id       protocol.Partition
	settings Settings

	nextOffset int64  // of the log
	lastID     string // message id of the last batch in the log
	lanes      lanes
	ids        messageIDs
	producers  *producers.Table
	tail       tail
	queue      []pending   // accepted, for the next section
	flight     []pending   // in the section under way
	accepted   uint64      // batches that ever went into the queue
	taken      uint64      // batches that ever left the queue for a section
	rejections []rejection // wait for an append sent after now
	rejecting  []rejection // wait for the append under way
	questions  questions

	stats Stats
	fx    Effects
	asks  map[string]uint64
	outs  map[uint64][]messages.Outcome // by frontend epoch
}

// pending is an accepted batch, or a fence. A duplicate takes part in the order
// of answers but not in the entry.
type pending struct {
	batch     messages.StagedBatch
	epochs    Epochs
	offset    int64
	first     *firstUse           // of its message id; nil without one
	original  *producers.Original // the batch of the same sequences that a duplicate repeats; else nil
	duplicate bool                // first or original is another batch, which comes earlier
	producer  *producers.Producer // of a batch with a producer id, and of a fence
	fence     *fence              // not nil: it is a fence and no batch
	since     time.Time
}

// rejection is a refusal that waits for a barrier.
type rejection struct {
	epoch   uint64
	outcome messages.Outcome
	after   uint64 // batches accepted before it, which it may rest on
	logged  bool   // it has to be in the log
}

// New returns the core of a partition without records.
func New(id protocol.Partition, settings Settings) *Core {
	return &Core{
		id: id, settings: settings,
		lanes: newLanes(), ids: newMessageIDs(settings), producers: newProducers(settings),
		asks: make(map[string]uint64), outs: make(map[uint64][]messages.Outcome),
	}
}

// NextOffset returns the offset that follows the last record in the log.
func (c *Core) NextOffset() int64 { return c.nextOffset }

// Expire forgets message ids whose window has passed.
func (c *Core) Expire(now time.Time) { c.ids.expire(now) }

// Advance lets the clock of the producers pass.
func (c *Core) Advance(now time.Time) { c.producers.Advance(now) }

// Evict forgets idle lanes and producers, from time to time.
func (c *Core) Evict(now time.Time) {
	c.lanes.evict(now.Add(-c.settings.LaneExpiry))
	c.producers.Evict()
}

// Stats returns what happened so far.
func (c *Core) Stats() Stats {
	s := c.stats
	s.Lanes, s.IDs, s.Producers, s.NextOffset = c.lanes.len(), c.ids.len(), c.producers.Len(), c.nextOffset
	return s
}

// Effects returns what has gathered since the last call.
func (c *Core) Effects() Effects {
	fx := c.fx
	c.fx = Effects{}
	for _, epoch := range slices.Sorted(maps.Keys(c.outs)) {
		fx.Outcomes = append(fx.Outcomes, Outcomes{epoch, c.outs[epoch]})
	}
	clear(c.outs)
	for _, name := range slices.Sorted(maps.Keys(c.asks)) {
		fx.Again = append(fx.Again, messages.LaneNumbers{Lane: name, Numbers: []uint64{c.asks[name]}})
	}
	clear(c.asks)
	return fx
}

// answer sends a message to the frontend that asked.
func (c *Core) answer(frontend uint64, m messages.Message) {
	c.fx.Answers = append(c.fx.Answers, messages.Envelope{Subject: messages.FrontendSubject(frontend), Message: m})
}
