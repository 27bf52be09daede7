// Package replicator commits released batches to the log of a partition: it
// looks at the ticket and at the producer's sequence, assigns offsets, and appends
// placeholders to a JetStream stream, one message for all releases that were waiting.
//
// It owns, per partition, the right to append, for as long as no newer term
// record stands in the log. All of its state can be rebuilt from the log; a
// snapshot saves it most of the reading. It never touches payloads.
package replicator

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/producers"
)

// Settings are the limits and times of a partition's core.
type Settings struct {
	Owner      string        // names this process in term records
	Epoch      uint64        // of this process as a replicator; it stands in term records
	Heartbeat  time.Duration // how long a repair may take to answer before it is asked for again
	LaneExpiry time.Duration // idle lanes are evicted; must exceed messages.MaxDeadline
	MaxLanes   int           // lanes remembered; beyond it new ones are refused
	IDWindow   time.Duration // how long a Nats-Msg-Id is remembered
	MaxIDs     int           // message ids remembered; beyond it new ones are refused
	// MaxNameBytes bounds the bytes of all lane names, and of all message ids;
	// beyond it new ones are refused.
	MaxNameBytes int
	EntryItems   int // most batches in one entry
	EntryBytes   int // most bytes of an entry, roughly
	ReadEntries  int // how many entries a recovery reads at a time

	ProducerExpiry time.Duration // idle producers are forgotten
	MaxProducers   int           // producers remembered; beyond it new ones are refused

	SnapshotEvery uint64 // entries from one snapshot to the next
	SnapshotBytes int    // a larger one, roughly, is not made

	// Patience is how long a log may look as if it had lost entries: a new leader of a
	// stream with several replicas may not have all of them yet.
	Patience time.Duration
}

// DefaultSettings returns what a replicator in service goes by.
func DefaultSettings(owner string) Settings {
	return Settings{
		Owner: owner, Heartbeat: 200 * time.Millisecond, LaneExpiry: messages.MaxDeadline + 15*time.Second, MaxLanes: 2_000_000,
		IDWindow: 2 * time.Minute, MaxIDs: 2_000_000, MaxNameBytes: 256 << 20,
		EntryItems: 8192, EntryBytes: 512 << 10, ReadEntries: 512,
		ProducerExpiry: protocol.DefaultProducerExpiry, MaxProducers: protocol.DefaultMaxProducers,
		SnapshotEvery: 10_000, SnapshotBytes: 128 << 20,
	}
}

// Event is what the core is told: a messages.Message that arrived, Loaded, LogRead,
// Appended, AppendFailed, Saved, MarkWritten, MarkMoved, Scrubbed or Stopping.
type Event any

// Loaded answers a Load with the snapshots that can be read, newest first, and the mark.
type Loaded struct {
	Snapshots []messages.Snapshot
	Mark      FoundMark
}

// Stopping asks the owner to end: it starts no append any more, and leaves a mark that
// says where the log ends.
type Stopping struct{}

// Scrubbed says what is wrong with the entries that the owner has not read, because a
// snapshot covers them; nothing is if Damage is empty.
type Scrubbed struct{ Damage string }

// Saved says that a snapshot is stored, or could not be.
type Saved struct{ Sequence uint64 }

// LogRead answers a Read.
type LogRead struct {
	Entries []LoggedEntry
	AtEnd   bool   // nothing that can be read follows the last entry
	Last    uint64 // at the end: the last sequence of the stream, as its leader says
	Sealed  bool   // at the end: nothing can be appended any more
	Corrupt string // not empty: why what follows the last entry is no entry; AtEnd and Last mean nothing then
	Gone    bool   // there is no stream; nothing else means anything then
}

// LoggedEntry is an entry as it stands in the log.
type LoggedEntry = messages.LoggedEntry

// Appended says that the append in flight is durable.
type Appended struct{ Sequence uint64 }

// AppendFailed says that the append in flight was refused because the log has
// moved on, or that its outcome is not known. Either way the log must be read.
type AppendFailed struct{}

// Append asks for one entry to be appended, if the log's last sequence is still
// the expected one. It is answered by Appended or AppendFailed.
type Append struct {
	Expected uint64
	Data     []byte
}

// Read asks for entries from a sequence on. It is answered by LogRead, however
// long that takes.
type Read struct {
	From  uint64
	Limit int
}

// Committed is a batch whose commit has just become known, for telemetry.
type Committed struct {
	Batch  messages.StagedBatch
	Offset int64
	Since  time.Time // when its release arrived
}

// Effects is what a step wants done. At most one Append or Read is ever under
// way.
type Effects struct {
	Send      []messages.Envelope
	Load      bool // look for snapshots and the mark; answered by Loaded
	Append    *Append
	Read      *Read
	Save      *messages.Snapshot // answered by Saved
	Mark      *WriteMark         // answered by MarkWritten or MarkMoved; one at a time
	Committed []Committed
	// Fenced is not 0 if the log has the term record of another owner that this core
	// must not follow: it has this higher epoch, or the very epoch of this core. The core
	// is dead and silent. Whoever is still the newest owner starts a core of an epoch above.
	Fenced   uint64
	Warnings []string // what an operator should know of the log
	Damage   string   // not empty: the log has lost entries, and the partition is read-only
	Gap      *Gap     // the owner has begun, and left out these offsets
	Stopped  bool     // it was Stopping, and nothing is left to be done
}

// phase is what the core is doing with the log.
type phase int

const (
	loading      phase = iota // looking for a snapshot to start from, and for the mark
	reading                   // catching up with the log
	reserving                 // at the end of the log: the place of its term record is being reserved
	claiming                  // its term record is under way
	leading                   // it may append
	suspecting                // the log is empty, or short of entries, and is read again soon
	damagedPhase              // the log has lost entries
	stopped
)

// Core decides what is appended, for one partition. It is pure: events and
// time come in, effects go out. It belongs to one goroutine.
type Core struct {
	partition protocol.Partition
	settings  Settings

	phase      phase
	asked      bool               // a Load or Read is under way
	unproven   *messages.Snapshot // the state is that of it, and the log has not confirmed it yet; else nil
	term       uint64             // stream sequence of its newest term record
	last       uint64             // stream sequence of the last entry applied
	nextOffset int64
	lastTime   int64     // of the newest entry in the log, in Unix nanoseconds
	risingFrom uint64    // of the newest entry in the log
	answered   bool      // the sequencer has answered the Hello of this term
	helloAt    time.Time // when Hello was last sent

	frontend     uint64 // highest frontend epoch seen or logged
	sequencer    uint64 // highest sequencer epoch seen or logged
	lanes        lanes
	ids          messageIDs
	producers    *producers.Table
	lastID       string // message id of the last batch in the log
	tail         tail
	queue        []pending // accepted, for the next entry
	flight       []pending // in the entry under way
	appending    bool      // an Append is under way
	flightData   []byte
	flightTime   int64     // of the entry under way
	flightRising uint64    // of the entry under way
	accepted     uint64    // batches that ever went into the queue
	taken        uint64    // batches that ever left the queue for an entry
	verdicts     []verdict // wait for an append sent after now
	sentenced    []verdict // wait for the append under way
	questions    questions
	saving       bool   // a Save is under way
	saved        uint64 // sequence of the last snapshot, or of the last try

	reserve      reserve
	acknowledged messages.Position // what the log is known to have had, because appends were acknowledged
	damage       damage
	scrubbed     string    // what is wrong with entries that a snapshot covers
	rescan       bool      // scrubbed has changed, and the log has to be looked at again
	suspectSince time.Time // when the log was first seen empty, or short of entries
	startedAt    int64     // base offset of the term record under way
	stopping     bool

	stats  Stats
	fx     Effects
	fenced bool            // a sequencer of an older epoch has spoken in this step
	stale  map[uint64]bool // older frontend epochs of which something was released in this step
	asks   map[string]uint64
	outs   map[uint64][]messages.Outcome // by frontend epoch
}

// Stats counts what happened on a partition.
type Stats struct {
	Entries    uint64 // appended by this owner, with and without batches
	Batches    uint64
	Records    uint64
	Duplicates uint64 // by sequence or message id
	Repeats    uint64 // releases that were known already
	Asks       uint64 // releases asked for again
	Terms      uint64
	Refused    uint64        // batches, for their sequence
	Snapshots  uint64        // made
	Oversized  uint64        // snapshots not made, because they would be too large
	Replayed   uint64        // entries of the log that were read
	ClockFalls uint64        // appended entries whose time lies far below that of the log before them
	ClockFell  time.Duration // how far, the last time
	Lanes      int
	IDs        int
	Producers  int
	Term       uint64
	NextOffset int64
	Leading    bool
	Marks      uint64 // written
	Gap        int64  // offsets that this owner has left out when it began
	Damage     string // what the log has lost; empty is nothing
	Covered    uint64 // the last entry that was not read, because a snapshot covers it
	Damaged    int    // partitions with damage; only in the sums over partitions
}

// pending is an accepted batch, or a fence. A duplicate takes part in the order
// of answers but not in the entry.
type pending struct {
	batch     messages.StagedBatch
	epoch     uint64 // frontend epoch
	sequencer uint64
	offset    int64
	first     *firstUse           // of its message id; nil without one
	original  *producers.Original // the batch of the same sequences that a duplicate repeats; else nil
	duplicate bool                // first or original is another batch, which comes earlier
	producer  *producers.Producer // of a batch with a producer id, and of a fence
	fence     *fence              // not nil: it is a fence and no batch
	since     time.Time
}

// verdict is a refusal that waits for a barrier.
type verdict struct {
	epoch   uint64
	outcome messages.Outcome
	after   uint64 // batches accepted before it, which it may rest on
	logged  bool   // it has to be in the log
}

// NewCore returns a core that knows nothing yet: it starts by looking for a
// snapshot and reading the log from there.
func NewCore(partition protocol.Partition, settings Settings) *Core {
	return &Core{
		partition: partition, settings: settings,
		lanes: newLanes(), ids: newMessageIDs(settings), producers: newProducers(settings),
		stale: make(map[uint64]bool), asks: make(map[string]uint64), outs: make(map[uint64][]messages.Outcome),
	}
}

// Step takes what happened, in order, and returns what is to be done. Without
// events it only does what time asks for.
func (c *Core) Step(now time.Time, events []Event) Effects {
	c.fx = Effects{}
	c.ids.expire(now)
	if c.phase == leading {
		c.producers.Advance(now)
	}
	for _, e := range events {
		if c.phase == stopped {
			break
		}
		c.handle(now, e)
	}
	if c.phase == stopped {
		return Effects{Fenced: c.fx.Fenced}
	}
	c.drive(now)
	c.flush()
	c.stats.Lanes, c.stats.IDs, c.stats.Producers = c.lanes.len(), c.ids.len(), c.producers.Len()
	c.stats.Term, c.stats.NextOffset, c.stats.Leading = c.term, c.nextOffset, c.phase == leading
	c.stats.Damage = c.damage.what
	return c.fx
}

// Stats returns what happened so far.
func (c *Core) Stats() Stats { return c.stats }

func (c *Core) handle(now time.Time, e Event) {
	switch e := e.(type) {
	case messages.Release:
		if e.Partition == c.partition && c.phase == leading {
			c.release(now, e)
		}
	case messages.FenceProducer:
		if e.Partition == c.partition && c.phase == leading {
			c.fenceProducer(now, e)
		}
	case messages.ListProducers:
		if e.Partition == c.partition && c.phase == leading {
			c.listProducers(e)
		}
	case Loaded:
		c.loaded(now, e)
	case Saved:
		c.saving, c.saved = false, e.Sequence
	case LogRead:
		c.logRead(now, e)
	case Appended:
		c.appended(now, e.Sequence)
	case AppendFailed:
		c.rollBack()
	case MarkWritten:
		c.markWritten(now, e)
	case MarkMoved:
		c.markMoved()
	case Scrubbed:
		c.rescan = c.rescan || c.scrubbed != e.Damage
		c.scrubbed = e.Damage
	case Stopping:
		c.stopping = true
	}
}

// drive starts what the phase asks for and what time asks for.
func (c *Core) drive(now time.Time) {
	if (c.reserve.moved || c.rescan) && !c.appending && (c.phase != reading || !c.asked) {
		c.startOver()
	}
	c.tellReadOnly(now)
	if c.stopping && c.mayStop() {
		c.fx.Stopped = true
		return
	}
	switch c.phase {
	case suspecting, damagedPhase:
		c.lookAgain(now)
	case reserving:
		if c.claimable(now) {
			c.claimLog(now)
		}
	case loading:
		c.fx.Load, c.asked = !c.asked, true
	case reading:
		if !c.asked {
			c.asked = true
			c.fx.Read = &Read{From: c.readFrom(), Limit: c.settings.ReadEntries}
		}
	case leading:
		c.lanes.evict(now.Add(-c.settings.LaneExpiry))
		c.producers.Evict()
		c.startAppend(now)
		c.keepMark(now)
		c.answerQuestion(now)
		c.save()
		if !c.answered && now.Sub(c.helloAt) >= c.settings.Heartbeat {
			c.helloAt = now
			c.send(messages.SequencerSubject(c.partition), messages.Hello{Partition: c.partition, Term: c.term})
		}
	}
}

// mayStop reports whether nothing is under way of which the next owner would have to
// find out what became of it. An owner that leads leaves an exact mark first, if it can.
func (c *Core) mayStop() bool {
	switch c.phase {
	case reserving, claiming:
		return false
	case leading:
		return !c.appending && c.reserve.writing == nil && c.reserve.Mark.Reserved == c.end()
	}
	return true
}

func (c *Core) warn(text string) { c.fx.Warnings = append(c.fx.Warnings, text) }
