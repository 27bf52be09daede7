// Package partition decides about the batches of one partition: which ticket is next, which
// batches are duplicates, which are rejected, and which offsets the others get. It also decides
// when its entries are archived, and which records are dropped.
//
// It owns the lanes, message ids, producers and history of the partition, its next offset, and
// the batches that are accepted and not appended yet. A section is what one log entry has of the
// partition. Sections are appended one at a time by the caller, the core of the log's owner.
// It calls:
//
//   - Release with the batches that a sequencer has released;
//   - Next for the section of the next entry, while no section is under way;
//   - Resolve when that entry is durable, or RollBack when the append failed;
//   - Apply for each section that is read from the log;
//   - Carried and Carry for the history of each entry, and AppendedHistory when that is durable;
//   - Effects for the messages that result.
//
// No batch is answered before the entry that its outcome depends on is durable. Example:
// batch a/1 is accepted, a/2 is a duplicate of it with another ticket, and a/3 is rejected
// because of its expectation. Next returns a section with a/1, and Resolve produces the
// outcomes of all three. If the append fails instead, RollBack forgets all three, and their
// releases arrive again.
//
// Effects have an order that depends on the calls alone. A Core belongs to one goroutine.
package partition

import (
	"time"

	"laneway.dev/internal/core/ordered"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/producers"
)

// Settings are the limits and times of a partition.
type Settings struct {
	Heartbeat  time.Duration // pause before a missing release is requested again
	LaneExpiry time.Duration // idle lanes are evicted; see replayShare
	MaxLanes   int           // lanes remembered; beyond it new ones are rejected
	IDWindow   time.Duration // how long a Nats-Msg-Id is remembered
	MaxIDs     int           // message ids remembered; beyond it new ones are rejected
	// MaxNameBytes bounds the bytes of all lane names, and those of all message ids. Beyond
	// it new ones are rejected.
	MaxNameBytes int

	// ArchiveBytes is the payload of a job for archivers; 0 turns archiving off. ArchiveAge is
	// how long a batch waits until a job is due for it.
	ArchiveBytes int64
	ArchiveAge   time.Duration
	Retention    Retention
	Codec        protocol.Compression // with which archivers compress; empty if they do not
	// TailBytes and TailBatches bound what is not archived: bytes of entries, and batches. At
	// one of them frontends refuse requests.
	TailBytes, TailBatches int64
	// JobSilence is how long an archiver may be silent before its job is sent again. Archivers
	// report every messages.ReportInterval what they work on.
	JobSilence time.Duration
	// GiveUpTime is how long jobs for the same part of a log fail before an archiver is to
	// write what it cannot read as damaged. One batch that is lost would otherwise keep
	// everything after it in the log.
	GiveUpTime time.Duration

	Limits
}

// Limits are the settings that can change while the partition runs, because they are those of
// its topic.
type Limits struct {
	ProducerExpiry time.Duration // idle producers are evicted
	MaxProducers   int           // producers remembered; beyond it new ones are rejected
}

// MaxAhead is how far the time of the log may lie ahead of the owner's clock. Differences
// between synchronized machines, and small corrections of a clock, are below it.
const MaxAhead = time.Minute

// Epochs are the highest epochs of the services that send to a log, as far as its owner
// has seen them. Messages of lower epochs are stale.
type Epochs struct{ Frontend, Sequencer uint64 }

// Effects is what the calls since the last Effects have produced.
type Effects struct {
	Send      []messages.Envelope    // answers to requests about producers, fences and truncations, jobs, and news for frontends
	Outcomes  []Outcomes             // by rising frontend epoch
	Outdated  []Outdated             // results to forget, before Again
	Again     []messages.LaneNumbers // releases to repeat, from a number on; by lane
	Committed []Committed
	AskTime   bool     // look up JetStream's time of the last entry; answered by LogTime
	Warnings  []string // for the operator's log
}

// Outcomes are the outcomes of tickets, for the frontend of one epoch.
type Outcomes struct {
	Epoch    uint64
	Outcomes []messages.Outcome
}

// Committed is a batch that this owner has committed, for telemetry.
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
	Repeats    uint64 // releases that had arrived before
	Asks       uint64 // requests to repeat lost releases
	Refused    uint64 // batches rejected for their producer sequence
	Outdated   uint64 // batches whose object was too old
	Lanes      int
	IDs        int
	Producers  int
	NextOffset int64

	Archives        uint64    // jobs that have moved the history
	ArchiveFailures uint64    // jobs that an archiver has given up
	Unarchivable    uint64    // records that archivers could not read and have given up
	ArchivedTo      int64     // the offset that follows the last archived record
	Unarchived      int64     // bytes of the entries that are not archived
	UnarchivedSince time.Time // of the oldest batch that is not archived; zero if there is none, or archiving is off
	Full            bool      // the bound on what is not archived is reached
}

// Core is the state of one partition.
type Core struct {
	id       protocol.Partition
	settings Settings

	nextOffset int64  // follows the last record in the log
	lastID     string // message id of the last batch in the log
	clock      clock
	lanes      lanes
	ids        messageIDs
	producers  *producers.Table
	tail       tail
	queue      []pending   // accepted, for the next section
	flight     []pending   // in the section under way
	accepted   uint64      // count of batches that were put into the queue
	taken      uint64      // count of batches that left the queue for a section
	rejections []rejection // wait for an append that is sent later
	rejecting  []rejection // wait for the append under way
	questions  questions
	archive    archive
	// generations are what its log knows of the generations of objects.
	generations Generations

	stats       Stats
	fx          Effects
	releaseFrom map[string]uint64
	outcomes    map[uint64][]messages.Outcome // by frontend epoch
}

// pending is an accepted batch or fence. A duplicate is answered in its place in the order
// of tickets, and has no place in the entry.
type pending struct {
	batch     messages.StagedBatch
	epochs    Epochs
	offset    int64
	first     *firstUse           // of its message id; nil without one
	original  *producers.Original // of a duplicate by producer sequence: the batch that it repeats
	duplicate bool                // first or original is another batch, which is committed earlier
	producer  *producers.Producer // of a batch with a producer id, and of a fence
	fence     *fence              // nil for a batch
	since     time.Time           // when its release arrived
}

// rejection is a refusal that is not sent yet. It waits for an append, which proves that
// this owner has not been replaced.
type rejection struct {
	epoch   uint64 // of the frontend that it goes to
	outcome messages.Outcome
	after   uint64 // count of batches accepted before it; it may rest on the last of them
	logged  bool   // the entry must list it
}

// New returns the core of a partition without records.
func New(id protocol.Partition, settings Settings) *Core {
	return &Core{
		id: id, settings: settings,
		lanes: newLanes(), ids: newMessageIDs(settings), producers: newProducers(settings),
		releaseFrom: make(map[string]uint64), outcomes: make(map[uint64][]messages.Outcome),
	}
}

// SetLimits changes the limits. What they would not have admitted before stays.
func (c *Core) SetLimits(l Limits) {
	c.settings.Limits = l
	c.producers.SetLimits(l.ProducerExpiry, l.MaxProducers)
}

// NextOffset returns the offset that follows the last record in the log.
func (c *Core) NextOffset() int64 { return c.nextOffset }

// Expire moves the clock of a term, and removes message ids after the end of their window.
func (c *Core) Expire(now time.Time) {
	c.clock.now = now
	c.ids.expire(now)
}

// Advance moves the clock of the producers.
func (c *Core) Advance(now time.Time) { c.producers.Advance(now) }

// Evict removes idle lanes and producers. It looks for them only every few seconds.
func (c *Core) Evict(now time.Time) {
	c.lanes.evict(now.Add(-c.settings.LaneExpiry))
	c.producers.Evict()
}

// Stats returns what happened so far.
func (c *Core) Stats() Stats {
	s := c.stats
	s.Lanes, s.IDs, s.Producers, s.NextOffset = c.lanes.len(), c.ids.len(), c.producers.Len(), c.nextOffset
	a := &c.archive
	s.ArchivedTo, s.Unarchived, s.Full = a.history.End.Offset, a.runs.sum.LogBytes, !a.fullSince.IsZero()
	if oldest, some := a.runs.oldest(); some && c.settings.ArchiveBytes > 0 {
		s.UnarchivedSince = time.Unix(0, oldest.Since)
	}
	return s
}

// Effects returns what has been produced since the last call, sorted by epoch and lane.
func (c *Core) Effects() Effects {
	fx := c.fx
	c.fx = Effects{}
	for _, epoch := range ordered.Keys(c.outcomes) {
		fx.Outcomes = append(fx.Outcomes, Outcomes{epoch, c.outcomes[epoch]})
	}
	clear(c.outcomes)
	for _, name := range ordered.Keys(c.releaseFrom) {
		fx.Again = append(fx.Again, messages.LaneNumbers{Lane: name, Numbers: []uint64{c.releaseFrom[name]}})
	}
	clear(c.releaseFrom)
	return fx
}

func (c *Core) send(subject string, m messages.Message) {
	c.fx.Send = append(c.fx.Send, messages.Envelope{Subject: subject, Message: m})
}

// answer sends a message to the frontend that has asked.
func (c *Core) answer(asker uint64, m messages.Message) { c.send(messages.AskerSubject(asker), m) }

func (c *Core) warn(text string) { c.fx.Warnings = append(c.fx.Warnings, text) }
