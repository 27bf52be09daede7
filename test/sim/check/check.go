// Package check compares what happens in a simulated world with the promises of the
// protocol, which are the invariants I1 to I9 of docs/correctness.md. It knows none of the
// rules by which the services keep these promises.
//
// A world reports each thing that happens to a [State] as a sighting. All schedulers use the
// same checks. A sighting is a comparable value, and a State depends only on the earlier
// sightings and their times. The exhaustive scheduler therefore checks each pair of state
// and sighting only once.
package check

import (
	"fmt"
	"slices"
	"time"

	"laneway.dev/internal/core/segment"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Limits are the times of a world, and what its faults leave intact.
type Limits struct {
	Heartbeat, StageTimeout, Deadline, LaneExpiry time.Duration
	Skew                                          time.Duration // by which a clock is wrong at most

	ForgetsLanes bool // replicators have room for few lanes
	LosesEpochs  bool // the registry of epochs is lost now and then
	// Repairs means that heartbeats repair whatever is lost before the deadline of a ticket.
	Repairs bool
	// OneLane means that only the client SlowClient suffers from slow or failing uploads.
	OneLane    bool
	SlowClient int
	// Object returns the bytes of a segment or manifest; nil is none. It is nil in a world without
	// archiving.
	Object func(key string) []byte
	// Settling is how long the consequences of faults may last after faults have ended.
	Settling time.Duration
}

// State is everything that was seen, as far as something later is compared with it.
type State struct {
	limits *Limits
	counts *Counts
	now    time.Time
	calm   time.Time // when faults ended; zero if they have not
	err    error     // the first violation
	// removed means that the partition was deleted. It promises nothing any more, and now is the time at
	// which that happened.
	removed bool
	cloned  bool // tables are shared with another State

	// The log.
	nextOffset          int64
	newest              int64 // offset at which the newest entry starts
	time                int64
	lastID              string // message id of the newest batch
	sequence            uint64
	owner               string // of the newest term record
	frontend, sequencer uint64 // epochs of the newest entry
	lanes               table[LaneKey, laneLog]
	evictions           table[uint64, bool]  // by frontend epoch: a lane was idle for so long that it may have been forgotten
	sources             table[int, int]      // by client: records of its source in the log
	places              table[Record, int64] // offset of each record
	epochs              table[int64, int16]  // by producer: the highest epoch
	stored              table[messages.Extent, Batch]

	// The tickets.
	issues     table[Ticket, issue]
	open       table[LaneKey, []uint64] // not answered, in the order of their issue
	turns      table[Ticket, []string]  // by open ticket: the sequencers that have released it
	lastAnswer table[LaneKey, uint64]
	lastOffset table[LaneKey, int64] // of the answers

	// The stagers.
	held      table[holding, time.Time] // when it arrived, or was last reported
	announced table[hearing, int]       // the round of the frontend in which a stager last announced itself
	rounds    table[string, int]        // by frontend

	owners table[string, *owner] // replicators, by name
	absent table[life, bool]     // what windows have reported as not in the log
	lives  table[life, bool]     // what is in the log
	unsure table[life, bool]     // what a request to stage that arrived twice has named (Doubled)

	frames                []frame // of the log
	ends                  []int64 // where each entry of the log ends
	archived              messages.History
	listed                []segment.Summary         // its segments
	begins                table[int64, bool]        // the log start offsets that it ever had
	keeps                 table[string, keeping]    // by owner
	allowed               table[outcome, allowance] // by result of a job
	truncatable           int64                     // the highest offset that a truncation may have asked for
	generation, watermark uint64                    // of objects, and of the newest entry
	entries               []*messages.LoggedEntry   // of the log, in a world with archiving
	segments              table[string, bool]       // that were compared with the log
	damaged               table[messages.Extent, bool]
	deleted               table[string, bool]      // objects, by key
	useless               table[string, time.Time] // objects that are there: since when, or since when the history does not lead to them any more
	leads                 map[string]bool          // by key of an object: the history leads to it
	consumers             table[int, consumed]
}

// New returns the state of a world in which the log was created at the time created, and
// nothing else has happened. The State adds what it sees to counts.
func New(limits *Limits, counts *Counts, created time.Time) *State {
	return &State{
		limits: limits, counts: counts,
		sequence: 1, time: created.UnixNano(), ends: []int64{0}, entries: []*messages.LoggedEntry{{Sequence: 1, Entry: messages.Entry{Created: true, Time: created.UnixNano()}}}, segments: table[string, bool]{},
		begins: table[int64, bool]{0: true}, keeps: table[string, keeping]{}, allowed: table[outcome, allowance]{},
		lanes: table[LaneKey, laneLog]{}, evictions: table[uint64, bool]{}, sources: table[int, int]{}, places: table[Record, int64]{},
		epochs: table[int64, int16]{}, stored: table[messages.Extent, Batch]{}, damaged: table[messages.Extent, bool]{}, deleted: table[string, bool]{}, useless: table[string, time.Time]{},
		issues: table[Ticket, issue]{}, open: table[LaneKey, []uint64]{}, turns: table[Ticket, []string]{},
		lastAnswer: table[LaneKey, uint64]{}, lastOffset: table[LaneKey, int64]{},
		held: table[holding, time.Time]{}, announced: table[hearing, int]{}, rounds: table[string, int]{},
		owners: table[string, *owner]{}, absent: table[life, bool]{}, lives: table[life, bool]{}, unsure: table[life, bool]{}, consumers: table[int, consumed]{},
	}
}

// Clone returns a copy that changes independently.
func (s *State) Clone() *State {
	s.cloned = true
	c := *s
	c.frames, c.ends = slices.Clip(s.frames), slices.Clip(s.ends)
	return &c
}

// Sighting is something that happens: one of the types that implement it.
type Sighting interface{ look(s *State) }

// Pure reports whether a sighting is only compared with those before, and changes nothing but
// counts.
func Pure(what Sighting) bool {
	switch what.(type) {
	case Acked, Finished, Outstanding, Leads, Abandoned, Identified, Turned:
		return true
	}
	return false
}

// See compares a sighting with those before, keeps what later ones are compared with, and
// returns the first violation.
func (s *State) See(now time.Time, what Sighting) error {
	if s.removed {
		return s.err
	}
	s.now = now
	what.look(s)
	return s.err
}

// Err returns the first violation.
func (s *State) Err() error { return s.err }

// NextOffset is the offset of the next record in the log.
func (s *State) NextOffset() int64 { return s.nextOffset }

// Owner is the replicator of the newest term record.
func (s *State) Owner() string { return s.owner }

// Content returns what is stored at an extent.
func (s *State) Content(x messages.Extent) Batch { return s.stored[x] }

// LastMessageID is the message id of the newest batch in the log; empty is none.
func (s *State) LastMessageID() string { return s.lastID }

// Logged returns how many records of a client with a producer id are in the log.
func (s *State) Logged(client int) int { return s.sources[client] }

func (s *State) violated(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

// Calm is the end of all faults.
type Calm struct{}

func (Calm) look(s *State) { s.calm = s.now }

// LaneKey names a lane of a frontend epoch.
type LaneKey struct {
	Epoch uint64
	Lane  string
}

func (k LaneKey) String() string { return fmt.Sprintf("lane %s of epoch %d", k.Lane, k.Epoch) }

// Ticket names a ticket.
type Ticket struct {
	LaneKey
	Number uint64
}

// TicketOf returns the name of a ticket that a frontend with the epoch has issued.
func TicketOf(epoch uint64, t messages.Ticket) Ticket {
	return Ticket{LaneKey{epoch, t.Lane}, t.Number}
}

func (t Ticket) String() string { return fmt.Sprintf("ticket %d of %s", t.Number, t.LaneKey) }

// Record names a record of a client's source.
type Record struct{ Client, Record int }

// life names the batch that starts with a record, as sent by one instance of a client.
type life struct {
	id     int64
	epoch  int16
	record Record
}

func (k life) String() string {
	return fmt.Sprintf("record %d of client %d, id %d, in epoch %d", k.record.Record, k.record.Client, k.id, k.epoch)
}

// Removed is the deletion of the partition. Nothing that is seen of it later is compared with anything. What
// becomes of its log is a matter of the journal.
type Removed struct{}

func (Removed) look(s *State) { s.removed = true }

// Acked is an acknowledgement that reaches the client that sent the batch.
type Acked struct {
	Batch  Batch
	Offset int64
}

func (a Acked) look(s *State) {
	s.counts.Acked++
	for n := range a.Batch.Records {
		record := Record{a.Batch.Client, a.Batch.First + n}
		if at, there := s.places[record]; !there || at != a.Offset+int64(n) {
			s.violated("I6: %s is acknowledged at offset %d; record %d is in the log: %t, at %d", a.Batch, a.Offset, record.Record, there, at)
			return
		}
	}
}

// Absent is the report of a client whose window has failed: the batch is not in the log and
// never will be. It is not checked if a request to stage the batch arrived twice (Doubled).
type Absent struct {
	Batch Batch
	ID    int64
	Epoch int16
}

func (a Absent) look(s *State) {
	of := life{a.ID, a.Epoch, Record{a.Batch.Client, a.Batch.First}}
	if s.unsure[of] {
		return
	}
	if s.absent.put(s, of, true); s.lives[of] {
		s.violated("I6: %s is in the log, and its client learns that it is not", of)
	}
}

// Identified is the answer to the init of a named client. It promises that everything that
// earlier instances will ever get into the log lies before the position. In a simulated world
// no position expires.
type Identified struct {
	Instance string
	Client   int
	Records  int // that are before the position
	Expired  bool
}

func (i Identified) look(s *State) {
	if got := s.sources[i.Client]; i.Records != got || i.Expired {
		s.violated("fencing: %s learns that %d records are in the log, %d are; position expired: %t", i.Instance, i.Records, got, i.Expired)
	}
}

// Finished is the state of a client long after all faults have ended.
type Finished struct {
	Client     int
	Idempotent bool
	Done       bool
	Records    int
}

func (f Finished) look(s *State) {
	got := s.sources[f.Client]
	if !f.Done {
		s.violated("I7: client %d makes no progress: %d of %d records are in the log", f.Client, got, f.Records)
	}
	if f.Idempotent && got != f.Records {
		s.violated("I6: client %d has %d of %d records in the log", f.Client, got, f.Records)
	}
}

// refused counts a refusal that leaves a frontend.
func (s *State) refused(code protocol.Code) { s.counts.refused(code) }
