package sim

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// checks compares what happens with what may. It knows the protocol's promises,
// which are the invariants I1 to I8 of docs/correctness.md, and none of its rules.
type checks struct {
	w *world

	// The log.
	nextOffset          int64
	newest              int64 // offset at which the newest entry begins
	time                int64
	lastID              string // message id of the newest batch
	sequence            uint64
	owner               string // of the newest term record
	frontend, sequencer uint64 // epochs of the newest entry
	lanes               map[laneKey]*laneLog
	evictions           map[uint64]bool     // by frontend epoch: a lane was idle for so long that it may have been forgotten
	sources             map[int]int         // by client: records of its source in the log
	places              map[recordKey]int64 // offset of each record
	epochs              map[int64]int16     // by producer: the highest epoch

	// The tickets.
	issues     map[ticket]*issue
	open       map[laneKey][]*issue // not answered, in the order of their issue
	lastAnswer map[laneKey]uint64
	lastOffset map[laneKey]int64 // of the answers

	owners map[*process]*ownerView
	acks   map[recordKey]int64 // what clients were told
	absent map[lifeKey]bool    // what windows have said is not in the log
	lives  map[lifeKey]bool    // what is there
	unsure map[lifeKey]bool    // asked to be staged by a message that came twice
}

// lifeKey names the batch that begins with a record, as sent by one instance of a client.
type lifeKey struct {
	id     int64
	epoch  int16
	record recordKey
}

func (k lifeKey) String() string {
	return fmt.Sprintf("record %d of client %d, id %d, in epoch %d", k.record.record, k.record.client, k.id, k.epoch)
}

type laneKey struct {
	epoch uint64
	lane  string
}

func (k laneKey) String() string { return fmt.Sprintf("lane %s of epoch %d", k.lane, k.epoch) }

type ticket struct {
	laneKey
	number uint64
}

func (t ticket) String() string { return fmt.Sprintf("ticket %d of %s", t.number, t.laneKey) }

type recordKey struct{ client, record int }

// laneLog is what the log says of a lane.
type laneLog struct {
	last, floor uint64
	at          time.Time // when the last batch came
}

// issue is a ticket that a frontend has issued.
type issue struct {
	ticket
	at         time.Time
	key        batchKey
	messageID  string
	expect     messages.Expectation
	plain      bool
	answered   bool
	refused    bool           // by a replicator
	staging    time.Time      // when it was asked for last
	turnedAway bool           // a stager has refused it since then
	doubled    bool           // a message that asked for its staging came twice
	never      *protocol.Code // it was promised that the batch is not in the log and never will be
	logged     bool
	offset     int64
}

func newChecks(w *world) checks {
	return checks{
		w: w, lanes: map[laneKey]*laneLog{}, evictions: map[uint64]bool{}, sources: map[int]int{}, places: make(map[recordKey]int64, 1<<10), epochs: map[int64]int16{},
		issues: make(map[ticket]*issue, 1<<10), open: map[laneKey][]*issue{}, lastAnswer: map[laneKey]uint64{}, lastOffset: map[laneKey]int64{},
		sequence: 1, time: beginning.UnixNano(), // of the entry that creation wrote
		owners: map[*process]*ownerView{}, acks: make(map[recordKey]int64, 1<<10), absent: map[lifeKey]bool{}, unsure: map[lifeKey]bool{}, lives: make(map[lifeKey]bool, 1<<9),
	}
}

// acked checks an acknowledgement that reaches its client.
func (c *checks) acked(r *request, offset int64) {
	c.w.counts.Acked++
	for n := range r.key.records {
		record := recordKey{r.key.client, r.key.first + n}
		at, there := c.places[record]
		if !there || at != offset+int64(n) {
			c.w.violated("I6: %s is acknowledged at offset %d; record %d is in the log: %t, at %d", r, offset, record.record, there, at)
			return
		}
		c.acks[record] = at
	}
}

// failed notes what a window that has failed says of a batch.
func (c *checks) failed(i *instance, key batchKey) {
	life := lifeKey{i.id, i.epoch, recordKey{key.client, key.first}}
	if !i.window.Absent() || c.unsure[life] {
		return
	}
	if c.absent[life] = true; c.lives[life] {
		c.w.violated("I6: %s is in the log, its client is told that it is not", life)
	}
}

// fenced checks the position that a new instance of a named client gets: everything that
// any earlier one will ever get into the log lies before it.
func (c *checks) fenced(i *instance, position protocol.ProducerPosition) {
	before := 0
	if position.LastSequence != nil {
		before = int(protocol.AddSequence(*position.LastSequence, 1-int64(i.c.start)))
	}
	if got := c.sources[i.c.number]; before != got || position.Expired {
		c.w.violated("fencing: %s is told that %d records are in the log, %d are; position expired: %t", i, before, got, position.Expired)
	}
}
