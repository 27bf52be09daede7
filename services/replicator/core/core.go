// Package core commits released batches to the log of a partition: it
// looks at the ticket and at the producer's sequence, assigns offsets, and appends
// placeholders to a JetStream stream, one message for all releases that were waiting.
//
// It owns, per partition, the right to append, for as long as no newer term
// record stands in the log. All of its state can be rebuilt from the log; a
// snapshot saves it most of the reading. It never touches payloads.
package core

import (
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/partition"
)

// Settings are the limits and times of a core.
type Settings struct {
	partition.Settings
	Owner       string // names this process in term records
	Epoch       uint64 // of this process as a replicator; it stands in term records
	EntryItems  int    // most batches in one entry
	EntryBytes  int    // most bytes of an entry, roughly
	ReadEntries int    // how many entries a recovery reads at a time

	SnapshotEvery uint64 // entries from one snapshot to the next
	SnapshotBytes int    // a larger one, roughly, is not made

	// Patience is how long a log may look as if it had lost entries: a new leader of a
	// stream with several replicas may not have all of them yet.
	Patience time.Duration
}

// DefaultSettings returns what a replicator in service goes by.
func DefaultSettings(owner string) Settings {
	return Settings{
		Settings: partition.Settings{
			Heartbeat: 200 * time.Millisecond, LaneExpiry: messages.MaxDeadline + 15*time.Second, MaxLanes: 2_000_000,
			IDWindow: 2 * time.Minute, MaxIDs: 2_000_000, MaxNameBytes: 256 << 20,
			ProducerExpiry: protocol.DefaultProducerExpiry, MaxProducers: protocol.DefaultMaxProducers,
		},
		Owner: owner, EntryItems: 8192, EntryBytes: 512 << 10, ReadEntries: 512,
		SnapshotEvery: 10_000, SnapshotBytes: 128 << 20,
	}
}

// Event is what has happened: a messages.Message has arrived, or it is Loaded, LogRead,
// Appended, AppendFailed, Saved, MarkWritten, MarkConflict, Scrubbed, EpochTaken, Replaced
// or Stopping.
type Event any

// Loaded answers a Load with the snapshots that can be read, newest first, and the mark.
type Loaded struct {
	Snapshots []messages.Snapshot
	Mark      FoundMark
}

// Stopping asks the owner to end: it starts no append any more, and leaves a mark that
// says where the log ends.
type Stopping struct{}

// Scrubbed answers a Scrub.
type Scrubbed struct {
	Damage string // what is wrong with the entries; empty if nothing is
	Failed bool   // they could not be read, so Damage means nothing
}

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
	Deleted bool   // the topic does not exist; nothing else means anything then
}

// LoggedEntry is an entry as it stands in the log.
type LoggedEntry = messages.LoggedEntry

// Appended says that the append in flight is durable.
type Appended struct{ Sequence uint64 }

// AppendFailed says that the append in flight was refused because the log has
// moved on, or that its outcome is not known. Either way the log must be read.
type AppendFailed struct {
	Moved   bool   // JetStream has refused it, because the log has moved on or is sealed
	Deleted bool   // the topic does not exist
	Reason  string // for people
}

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
	After time.Duration // how long to wait before
}

// Scrub asks for a look at the entries up to a sequence. They were not read, because a
// snapshot covers them, and JetStream finds damage only on reading. It is answered by
// Scrubbed, however long that takes.
type Scrub struct {
	To    uint64
	After time.Duration // how long to wait before
}

// Effects is what a step wants done. At most one Append or Read is ever under
// way.
type Effects struct {
	Send      []messages.Envelope
	Load      bool // look for snapshots and the mark; answered by Loaded
	Append    *Append
	Read      *Read
	Save      *messages.Snapshot // answered by Saved
	Mark      *WriteMark         // answered by MarkWritten or MarkConflict; one at a time
	Scrub     *Scrub             // answered by Scrubbed; one at a time
	Committed []partition.Committed
	// TakeEpoch is not 0 if the log has the term record of another owner that this core
	// must not follow: it has this higher epoch, or the very epoch of this core. An epoch
	// above it must be taken, which is answered by EpochTaken or Replaced. Until then the
	// core is silent.
	TakeEpoch uint64
	// Ended is not nil if the core has ended, because it cannot get an epoch: it was
	// replaced. Nothing is answered: its successor does that.
	Ended    error
	Refusing string   // not empty: JetStream has taken no appends for a while, for this reason
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
	fenced                    // an epoch above that of another owner is being taken
	ended                     // it was replaced
)

// Core decides what is appended to a log. It is pure: events and time come in, effects go
// out. It belongs to one goroutine.
type Core struct {
	id        protocol.Partition
	settings  Settings
	partition *partition.Core // what is decided about its batches

	phase      phase
	asked      bool               // a Load or Read is under way
	readAfter  time.Duration      // how long the next Read is to wait
	emptySince time.Time          // when the log was first found without entries; zero if it has some
	unproven   *messages.Snapshot // the state is that of it, and the log has not confirmed it yet; else nil
	term       uint64             // stream sequence of its newest term record
	last       uint64             // stream sequence of the last entry applied
	lastTime   int64              // of the newest entry in the log, in Unix nanoseconds
	risingFrom uint64             // of the newest entry in the log
	epochs     partition.Epochs   // the highest ones seen or logged
	answered   bool               // the sequencer has answered the Hello of this term
	helloAt    time.Time          // when Hello was last sent

	appending    bool // an Append is under way
	flightData   []byte
	flightTime   int64  // of the entry under way
	flightRising uint64 // of the entry under way
	saving       bool   // a Save is under way
	saved        uint64 // sequence of the last snapshot, or of the last try

	reserve      reserve
	acknowledged messages.Position // what the log is known to have had, because appends were acknowledged
	damage       damage
	refusal      refusal
	scrubbing    bool      // the first Scrub was asked for, or none is needed
	scrubTo      uint64    // of the Scrub
	scrubbed     string    // what is wrong with entries that a snapshot covers
	rescan       bool      // scrubbed has changed, and the log has to be looked at again
	suspectSince time.Time // when the log was first seen empty, or short of entries
	startedAt    int64     // base offset of the term record under way
	stopping     bool

	stats  Stats
	fx     Effects
	behind bool            // a sequencer of an older epoch has spoken in this step
	stale  map[uint64]bool // older frontend epochs of which something was released in this step
}

// Stats counts what happened on a log and its partition.
type Stats struct {
	partition.Stats
	Entries    uint64 // appended by this owner, with and without batches
	Terms      uint64
	Snapshots  uint64        // made
	Oversized  uint64        // snapshots not made, because they would be too large
	Replayed   uint64        // entries of the log that were read
	ClockFalls uint64        // appended entries whose time lies far below that of the log before them
	ClockFell  time.Duration // how far, the last time
	Term       uint64
	Leading    bool
	Marks      uint64 // written
	Gap        int64  // offsets that this owner has left out when it began
	Damage     string // what the log has lost; empty is nothing
	Refusing   string // why JetStream has taken no appends for a while; empty if it takes them
	Covered    uint64 // the last entry that was not read, because a snapshot covers it
	Damaged    int    // partitions with damage; only in the sums over partitions
}

// NewCore returns a core that knows nothing yet: it starts by looking for a
// snapshot and reading the log from there.
func NewCore(id protocol.Partition, settings Settings) *Core {
	return &Core{id: id, settings: settings, partition: partition.New(id, settings.Settings), stale: make(map[uint64]bool)}
}

// Step takes what happened, in order, and returns what is to be done. Without
// events it only does what time asks for.
func (c *Core) Step(now time.Time, events []Event) Effects {
	c.fx = Effects{}
	c.partition.Expire(now)
	if c.phase == leading {
		c.partition.Advance(now)
	}
	for _, e := range events {
		if c.phase == ended {
			break
		}
		c.handle(now, e)
	}
	if c.phase == ended || c.phase == fenced {
		return c.silent()
	}
	c.drive(now)
	c.flush()
	return c.fx
}

// silent returns the effects of a core that may not be the owner of its log any more. What
// it has decided in this step leaves it as little as anything else.
func (c *Core) silent() Effects {
	c.partition.Effects()
	c.behind = false
	clear(c.stale)
	return Effects{TakeEpoch: c.fx.TakeEpoch, Ended: c.fx.Ended, Stopped: c.stopping}
}

// Stats returns what happened so far.
func (c *Core) Stats() Stats {
	s := c.stats
	s.Stats = c.partition.Stats()
	s.Term, s.Leading, s.Damage, s.Refusing = c.term, c.phase == leading, c.damage.what, c.refusal.lasting
	return s
}

func (c *Core) handle(now time.Time, e Event) {
	switch e := e.(type) {
	case messages.Message:
		if e.Of() == c.id && c.phase == leading {
			c.receive(now, e)
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
		c.appendFailed(now, e)
	case MarkWritten:
		c.markWritten(now, e)
	case MarkConflict:
		c.markConflict(now, e)
	case Scrubbed:
		c.scrubDone(e)
	case EpochTaken:
		c.epochTaken(e)
	case Replaced:
		c.replaced(e)
	case Stopping:
		c.stopping = true
	}
}

// receive takes a message about the partition. Only an owner that leads does: what is lost
// here is repeated by its sender.
func (c *Core) receive(now time.Time, m messages.Message) {
	switch m := m.(type) {
	case messages.Release:
		c.release(now, m)
	case messages.FenceProducer:
		c.partition.FenceProducer(now, c.epochs, m)
	case messages.ListProducers:
		c.partition.ListProducers(m)
	}
}

// drive starts what the phase asks for and what time asks for.
func (c *Core) drive(now time.Time) {
	if (c.reserve.moved || c.rescan) && !c.appending && (c.phase != reading || !c.asked) {
		c.startOver()
	}
	c.tellReadOnly(now)
	c.tellRefusing(now)
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
			c.fx.Read = &Read{From: c.readFrom(), Limit: c.settings.ReadEntries, After: c.readAfter}
			c.readAfter = 0
		}
	case leading:
		c.partition.Evict(now)
		c.startAppend(now)
		c.keepMark(now)
		c.partition.AnswerQuestion(now)
		c.save()
		c.scrub()
		if !c.answered && now.Sub(c.helloAt) >= c.settings.Heartbeat {
			c.helloAt = now
			c.send(messages.SequencerSubject(c.id), messages.Hello{Partition: c.id, Term: c.term})
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
