// Package core commits released batches to the log of a partition. The partition package
// checks tickets and producer sequences, assigns offsets, and has entries archived; this
// package owns the log: it recovers its state, notices a log that has lost entries, claims the
// log, appends entries, and keeps its mark and snapshots. It fences frontends and sequencers of
// lower epochs.
//
// A Core has the right to append for as long as its term record is the newest in the log.
// Its state is rebuilt from the log; with a snapshot, only from the entries after it. A Core
// never sees payloads.
//
// # The life of a Core
//
//	loading ──▶ reading ──▶ reserving ──▶ claiming ──▶ leading
//	   ▲           ▲                          │           │
//	   │           └──── an append failed ◀───┴───────────┘
//	   └── every 10 s ── damaged            (or its outcome is unknown)
//
// Recovery loads the mark and the newest snapshot, and reads the log from where the snapshot
// ends. It compares the log with both (recover.go, damage.go): if entries are missing or
// cannot be read, the partition is read-only.
//
// The claim reserves a place in the mark and appends a term record, if no other entry has
// been appended meanwhile (compare-and-set on the stream's last sequence). From then on, any
// append of an older owner fails, because its expected sequence is too low.
//
// Only one append is under way at a time. If its outcome is unknown, the entry may be in the
// log or may still arrive. The Core then drops its uncommitted state and claims the log
// again: it reads to the end and appends a new term record. If the entry is in the log, the
// Core reads it. If it arrives after the term record, JetStream rejects it.
//
// Example: the log ends with entry 17. The owner appends entry 18 with batches a/4 and a/5,
// expecting 17, and the connection breaks. It reads from 18. If JetStream has the entry, a/4
// and a/5 are committed, and their repeated releases are answered from the log. If not, the
// term record becomes entry 18, the delayed append fails since the last sequence is not 17
// any more, and a/4 and a/5 are appended when the sequencer repeats them.
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
	Owner       string // in term records; each core of a log has another one
	Epoch       uint64 // in which the log is owned, in term records
	EntryItems  int    // most batches in one entry
	EntryBytes  int    // most bytes of an entry, approximately
	ReadEntries int    // entries that a recovery reads at a time

	EntryPayload int64 // most bytes of payload of an entry, if it has more than one batch

	SnapshotEvery uint64 // entries from one snapshot to the next

	// PurgeEntries is how many archived entries make a purge worth a request. On an idle log, any
	// entry is.
	PurgeEntries uint64

	// Patience is how long a log may lack entries before it counts as damaged. A new leader of
	// a stream with several replicas may not have all entries yet.
	Patience time.Duration
}

// DefaultSettings returns the settings of a replicator in production.
func DefaultSettings(owner string) Settings {
	return Settings{
		Settings: partition.Settings{
			Heartbeat: 200 * time.Millisecond, LaneExpiry: messages.MaxDeadline + 15*time.Second, MaxLanes: 2_000_000,
			IDWindow: 2 * time.Minute, MaxIDs: 2_000_000, MaxNameBytes: 256 << 20,
			Limits:     Limits{ProducerExpiry: protocol.DefaultProducerExpiry, MaxProducers: protocol.DefaultMaxProducers},
			ArchiveAge: 10 * time.Minute, TailBytes: 64 << 20, TailBatches: 1_000_000, JobSilence: 10 * time.Second, GiveUpTime: time.Hour,
		},
		Owner: owner, EntryItems: 8192, EntryBytes: 512 << 10, EntryPayload: 32 << 20, ReadEntries: 512,
		SnapshotEvery: 10_000, PurgeEntries: 256,
	}
}

// Event is an input of a Core: a messages.Message that has arrived, or Loaded, LogRead,
// Appended, AppendFailed, Saved, MarkWritten, MarkConflict, Scrubbed, Purged, PurgeFailed,
// EpochTaken, Limits, Codec, Retention, LogTime, ArchiverStarted, Generation, Behind or Stopping.
type Event any

// Limits are new limits of the topic. They apply at once, also to a log that is being read.
type Limits = partition.Limits

// Retention reports how long, and how many bytes, the topic keeps after an update.
type Retention = partition.Retention

// LogTime answers AskTime.
type LogTime = partition.LogTime

// Committed is a batch that has come into the log.
type Committed = partition.Committed

// Codec reports the codec of the topic after an update; empty if archivers compress nothing.
type Codec struct{ Codec protocol.Compression }

// ArchiverStarted reports that an archiver has started. It may be the first one.
type ArchiverStarted struct{}

// Loaded answers a Load with the snapshots that can be read, newest first, and the mark.
type Loaded struct {
	Snapshots []messages.Snapshot
	Mark      FoundMark
	Trouble   string // why snapshots may exist that are not among these, or empty
}

// Stopping asks the owner to end: it starts no further append, and writes a mark with the
// exact end of the log, so that the next owner leaves out no offsets.
type Stopping struct{}

// Effects is what a step asks the shell to do. At most one Append or Read is under way at a
// time.
type Effects struct {
	Send      []messages.Envelope
	Load      bool // load snapshots and the mark; answered by Loaded
	Append    *Append
	Read      *Read
	Save      *Save      // answered by Saved
	Mark      *WriteMark // answered by MarkWritten or MarkConflict; one at a time
	Scrub     *Scrub     // answered by Scrubbed; one at a time
	Purge     *Purge     // answered by Purged or PurgeFailed; one at a time
	AskTime   bool       // look up JetStream's time of the last entry; answered by LogTime
	Committed []Committed
	// TakeEpoch is not 0 if a term record or the snapshot has an epoch that fences this core:
	// a higher one, or the same one with another owner. The shell takes an epoch above it and
	// answers with EpochTaken, or ends the core because the log is another owner's. Until then the core
	// sends nothing: only the other owner knows which entries are in the log.
	TakeEpoch uint64
	Refusing  string   // why JetStream has accepted no appends for a while; else empty
	Warnings  []string // for the operator's log
	Damage    string   // what the log has lost, if the partition has just become read-only; else empty
	Gap       *Gap     // the offsets that the new owner leaves out; nil if none
	Stopped   bool     // after Stopping: all work is done
}

// phase is the state of a core in the life described above.
type phase int

const (
	loading      phase = iota // waits for snapshots and the mark
	reading                   // reads the log to its end
	reserving                 // at the end: writes a mark that reserves a place for the term record
	claiming                  // appends its term record
	leading                   // may append batches
	suspecting                // the log is empty or lacks entries; it is read again soon
	damagedPhase              // the log has lost entries; the partition is read-only
	fenced                    // waits for an epoch above that of another owner
)

// Core decides what is appended to a log. It is pure: events and time go in, effects come
// out. It belongs to one goroutine.
type Core struct {
	id        protocol.Partition
	settings  Settings
	partition *partition.Core // decides about its batches

	phase         phase
	requested     bool               // a Load or Read is under way
	readAfter     time.Duration      // pause before the next Read
	emptySince    time.Time          // when the log was first found without entries; zero if it has some
	unproven      *messages.Snapshot // the state comes from it and was not compared with the log yet; else nil
	term          uint64             // sequence of its newest term record
	last          uint64             // sequence of the last entry applied
	lastTime      int64              // of the newest entry in the log, in Unix nanoseconds
	risingFrom    uint64             // of the newest entry in the log
	epochs        partition.Epochs   // the highest ones received or logged
	helloAnswered bool               // the sequencer has answered the Hello of this term
	helloAt       time.Time          // when Hello was last sent
	fencedBy      uint64             // the epoch that it must exceed, while it is fenced

	appending    bool // an Append is under way
	flightData   []byte
	flightTime   int64  // of the entry under way
	flightRising uint64 // of the entry under way

	snapshots    snapshots
	watermark    watermark
	purges       purges
	reserve      reserve
	acknowledged messages.Position // end of the log after the last acknowledged append of this core
	damage       damage
	refusal      refusal
	scrubs       scrubs
	behind       string    // why the log is older than the object store; empty if it is not
	rescan       bool      // the result of a scrub, or behind, has changed, so the log must be read again
	trouble      string    // why there may be snapshots that could not be loaded, or empty
	overtaken    uint64    // one above the sequence of the snapshot that was behind a purge; 0 if none was
	suspectSince time.Time // when the log was first seen empty, or short of entries
	startOffset  int64     // base offset of the term record under way
	stopping     bool

	stats          Stats
	fx             Effects
	staleSequencer bool            // a sequencer of a lower epoch has sent something in this step
	staleFrontends map[uint64]bool // lower frontend epochs with batches in this step
}

// NewCore returns a core without state. Its first step asks for snapshots and the mark.
func NewCore(id protocol.Partition, settings Settings) *Core {
	return &Core{id: id, settings: settings, partition: partition.New(id, settings.Settings), staleFrontends: make(map[uint64]bool)}
}

// Step handles events in their order and returns the effects. It MUST be called at least once
// per Heartbeat, without events if there are none, because repetitions, marks and evictions
// depend on time. A core at rest needs that only in one of restBeats Heartbeats.
func (c *Core) Step(now time.Time, events []Event) Effects {
	c.fx = Effects{}
	if c.phase == leading {
		c.partition.Expire(now)
		c.partition.Advance(now)
	}
	for _, e := range events {
		c.handle(now, e)
	}
	if c.phase == fenced {
		return c.silent()
	}
	c.drive(now)
	c.flush()
	return c.fx
}

// silent returns the effects of a core that may not be the owner of its log any more. It
// discards all messages, including those that earlier events of this step produced.
func (c *Core) silent() Effects {
	c.partition.Effects()
	c.staleSequencer = false
	clear(c.staleFrontends)
	return Effects{TakeEpoch: c.fx.TakeEpoch, Stopped: c.stopping}
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
		c.savedSnapshot(now, e)
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
	case Purged:
		c.purged(e)
	case PurgeFailed:
		c.purgeFailed(now, e)
	case ArchiverStarted:
		c.partition.ArchiverStarted()
	case EpochTaken:
		c.epochTaken(e)
	case Limits, Codec, Retention, Generation, Behind:
		c.configure(e)
	case LogTime:
		c.partition.LogTime(e)
	case Stopping:
		c.stopping = true
	}
}

// configure takes what an update of the topic may have changed, and news of the generation and of
// sweeps.
func (c *Core) configure(e Event) {
	switch e := e.(type) {
	case Limits:
		c.partition.SetLimits(e)
	case Codec:
		c.partition.SetCodec(e.Codec)
	case Retention:
		c.partition.SetRetention(e)
	case Generation:
		c.generation(e)
	case Behind:
		c.fallBehind(e)
	}
}

// receive handles a message about the partition. It is called only while the core leads. In
// any other phase messages are dropped, and their senders repeat them.
func (c *Core) receive(now time.Time, m messages.Message) {
	switch m := m.(type) {
	case messages.Release:
		c.release(now, m)
	case messages.FenceProducer:
		c.partition.FenceProducer(now, c.epochs, m)
	case messages.ListProducers:
		c.partition.ListProducers(m)
	case messages.Truncate:
		c.partition.Truncate(m)
	case messages.Archived:
		c.partition.Archived(now, m)
	case messages.Archiving:
		c.partition.Archiving(now, m)
	case messages.ArchiveFailed:
		c.partition.ArchiveFailed(now, m)
	}
}

// drive starts the work of the phase, and what is due at this time.
func (c *Core) drive(now time.Time) {
	if (c.reserve.moved || c.rescan) && !c.appending && (c.phase != reading || !c.requested) {
		c.startOver()
	}
	c.reportReadOnly(now)
	c.reportRefusing(now)
	if c.stopping && c.mayStop() {
		c.fx.Stopped = true
		return
	}
	switch c.phase {
	case suspecting, damagedPhase:
		c.recheck(now)
	case reserving:
		if c.claimable(now) {
			c.claimLog(now)
		}
	case loading:
		c.fx.Load, c.requested = !c.requested, true
	case reading:
		if !c.requested {
			c.requested = true
			c.fx.Read = &Read{From: c.readFrom(), Limit: c.settings.ReadEntries, After: c.readAfter}
			c.readAfter = 0
		}
	case leading:
		c.partition.Evict(now)
		c.startAppend(now)
		c.keepMark(now)
		c.partition.AnswerQuestion(now)
		if !c.stopping {
			c.partition.KeepArchiving(now)
		}
		c.partition.ReportCongested(now)
		c.save(now)
		c.purge(now)
		c.scrub()
		if !c.helloAnswered && now.Sub(c.helloAt) >= c.settings.Heartbeat {
			c.helloAt = now
			c.send(messages.SequencerSubject(c.id), messages.Hello{Partition: c.id, Term: c.term})
		}
	}
}

// mayStop reports whether the owner may end: no claim or append is under way, whose outcome
// the next owner could not know. A leading owner must also have written an exact mark.
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
