// Package core decides what a frontend does with the batches of the partitions of one log. It gives
// each batch a ticket before anything asynchronous happens to it, has it staged again if it
// is lost, and answers each request once, in ticket order within a lane. It also decides
// how a frontend takes a new epoch and how it ends.
//
// It owns the unresolved tickets with their payloads, which may have to be staged again. It
// is pure: it uses no network, clock or goroutine.
//
// # The life of a ticket
//
// produce issues the ticket and sends the batch to a stager. From then on the ticket ends in
// one of these ways:
//
//   - The batch is committed, or the replicator sends another outcome: a duplicate, or a
//     refusal.
//   - A stager refuses the batch for good, its deadline passes, or the log is damaged. If
//     every attempt to stage the batch was refused, it is certainly not in the log, and the
//     producer gets FAILED. Otherwise the batch may be in the log, and the producer gets
//     OUTCOME_UNKNOWN.
//   - A stager refuses the batch because its compressed frame is wrong. The producer gets
//     the reason.
//   - The actor ends, or the frontend takes a new epoch: the producer gets OUTCOME_UNKNOWN.
//     A frontend that was replaced does not answer.
//
// Any message may be lost on the way, so heartbeats repair losses. Example: the batches a/1,
// a/2 and a/3 are sent to stagers, and the stager with a/2 crashes. The sequencer holds a/3
// back. After a heartbeat the frontend sends Advance{lane a, floor 2, highest 3}. The
// sequencer answers Missing{a/2}. A stager that still had a/2 would report so. When no stager
// has done that for StageTimeout, the frontend sends a/2 to another stager. When a/2 is staged,
// a/2 and a/3 are released.
package core

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/pkg/ticketing"
)

// Times are the timeouts of a core.
type Times struct {
	Heartbeat    time.Duration // age of a ticket at which its lane is repaired
	StageTimeout time.Duration // silence about a batch after which it is staged again; MUST exceed two report intervals of stagers
	Deadline     time.Duration // a request is answered at the latest after this
}

// Produce is a batch that a producer has sent.
type Produce struct {
	Partition protocol.Partition
	// Submission is complete except for the ticket number and the floor, which the core sets.
	messages.Submission
	Payload []byte // a batch frame
	// MaxRecordBytes is set for a compressed frame, as in messages.StageBatch.
	MaxRecordBytes uint32
	// Bytes is what the batch counts in flight: the length of the frame when it is not
	// compressed. So a frame that is tiny as long as it is compressed is not admitted more
	// often than stagers and consumers can decompress it.
	Bytes   int64
	Request Request
}

// Request is the shell's data for an answer. The core returns it in the Answer.
type Request any

// Event is an input of a Log: a Produce, a messages.Message that has arrived, Stagers,
// Codec, EpochTaken, Ending, Added or Removed. An entry of the log is a CommittedEntry.
type Event any

// CommittedEntry is a committed entry of the log, decoded.
type CommittedEntry struct {
	Partition protocol.Partition
	Entry     messages.Entry
}

// Answer is the one answer to a request. Error is nil when the batch is in the log.
type Answer struct {
	Request   Request
	Lane      string
	Number    uint64
	Epoch     uint64
	Records   int
	Offset    int64
	Duplicate bool
	Extent    messages.Extent // where the payload is, if known
	Payload   []byte
	Error     *protocol.Error
}

// Effects is what a step asks the shell to do, in the order of the fields. Answers MUST be
// sent in the order of the slice, because that is ticket order.
type Effects struct {
	Send    []messages.Envelope
	Answers []Answer
	// Ready are the partitions whose epoch has just been announced: the shell starts admitting
	// their requests.
	Ready []protocol.Partition
	// TakeEpoch is the epoch that has fenced partitions; 0 if none has. The shell MUST take
	// an epoch above it and report EpochTaken, or report Ending if a younger frontend
	// exists or the actor ends. Until then these partitions send and answer nothing.
	TakeEpoch uint64
	Turned    []Turned // the partitions that have taken part
}

// Core decides about one partition. It is pure: events and time go in, effects come out. It
// belongs to a Log.
type Core struct {
	partition protocol.Partition
	epoch     uint64
	codec     protocol.Compression
	times     Times

	announced   bool
	announcedAt time.Time // when the announcement was last sent
	fencedBy    uint64    // the higher epoch that has fenced the core; 0 if none has
	withheld    []Answer  // answers of a fenced core, sent if it gets a new epoch
	ending      *Ending   // nil while the actor runs
	tickets     *ticketing.Issuer[*ticket]
	emptied     map[string]uint64 // lanes that became empty since the heartbeat, with their floors

	damage        messages.ReadOnly // of the log, while the partition is read-only
	readOnlyUntil time.Time

	congestion     string // why the log takes no new requests, up to a time
	congestedUntil time.Time

	live []string // names of the stagers that are alive, sorted
	turn int      // index of the one that a batch was sent to last

	stagers *Stagers // from which the log has taken live

	inline   inline
	stage    []stageGroup
	progress []messages.LaneProgress
	stats    Stats
	fx       Effects
}

// ticket is an unresolved batch.
type ticket struct {
	Produce
	issued    time.Time
	heardAt   time.Time       // when the last attempt was sent, or last reported by its stager
	stager    string          // that has the last attempt; empty if it is unknown
	attempts  uint32          // times that it was sent to a stager
	refused   map[uint32]bool // attempts that a stager has refused
	restageAt time.Time       // when to stage it again after a refusal; zero if it is not due
	outcome   Answer
}

// Stats counts what happened on a partition.
type Stats struct {
	Issued      uint64
	Restaged    uint64
	GivenUp     uint64
	Outstanding int
	ReadOnly    messages.ReadOnly // the last report, while the partition is read-only; else zero
}

// NewCore returns a core without tickets. It announces its epoch before it is ready. codec is
// the one of the topic; empty if its plain frames are not compressed.
func NewCore(partition protocol.Partition, epoch uint64, codec protocol.Compression, times Times) *Core {
	return &Core{
		partition: partition, epoch: epoch, codec: codec, times: times,
		tickets: ticketing.NewIssuer[*ticket](), emptied: make(map[string]uint64),
	}
}

// Stats returns what happened so far.
func (c *Core) Stats() Stats { return c.stats }

// step handles events in their order and returns the effects. A core that is not idle has a beat
// every Heartbeat.
func (c *Core) step(now time.Time, events []Event, beat bool) Effects {
	c.fx = Effects{}
	for _, e := range events {
		switch e := e.(type) { // these concern a core that does not serve as well
		case Stagers:
			c.setLive(e)
			continue
		case Codec:
			c.codec = e.Codec
			continue
		}
		if !c.serves() {
			c.handleIdle(e)
			continue
		}
		c.handle(now, e)
	}
	if !c.serves() {
		c.stats.Outstanding = c.tickets.Outstanding()
		return Effects{TakeEpoch: c.fencedBy, Answers: c.fx.Answers}
	}
	c.announce(now)
	if beat {
		c.heartbeat(now)
	}
	c.flush()
	c.stats.Outstanding = c.tickets.Outstanding()
	if c.stats.ReadOnly = c.damage; !now.Before(c.readOnlyUntil) {
		c.stats.ReadOnly = messages.ReadOnly{}
	}
	return c.fx
}

// idle reports whether nothing is due without an event, however much time passes.
func (c *Core) idle() bool {
	return !c.serves() || c.announced && c.tickets.Outstanding() == 0 && len(c.emptied) == 0 && c.stats.ReadOnly.Damage == ""
}

func (c *Core) handle(now time.Time, e Event) {
	switch e := e.(type) {
	case Produce:
		c.produce(now, e)
	case messages.Refused, messages.Holding, messages.Missing:
		c.heard(now, e)
	case CommittedEntry:
		if e.Entry.Epoch == c.epoch {
			c.committed(e.Entry)
		}
	case messages.Outcomes:
		if e.Epoch == c.epoch {
			c.outcomes(now, e.Outcomes)
		}
	case messages.ReadOnly:
		c.readOnly(now, e)
	case messages.Congested:
		c.congestion, c.congestedUntil = e.Reason, now.Add(congestedTime)
	case messages.Announced:
		if e.Epoch == c.epoch && !c.announced {
			c.announced, c.fx.Ready = true, []protocol.Partition{c.partition}
		}
	case messages.Fenced:
		if e.Epoch > c.epoch {
			c.fencedBy, c.withheld = e.Epoch, c.fx.Answers
			c.fx = Effects{}
		}
	case Ending:
		c.end(e)
	}
}

// announce sends the epoch to the sequencer before the first ticket, and again until it
// is confirmed.
func (c *Core) announce(now time.Time) {
	if c.announced || now.Sub(c.announcedAt) < c.times.Heartbeat {
		return
	}
	c.announcedAt = now
	c.send(messages.SequencerSubject(c.partition), messages.Announce{Partition: c.partition, Epoch: c.epoch})
}

// produce issues the ticket, which fixes the place of the batch in its lane. It MUST be the
// first step with a batch: tickets that are issued after staging would follow the order in
// which uploads finish, and not the order in which the producer sent the batches.
func (c *Core) produce(now time.Time, p Produce) {
	if c.rejectReadOnly(now, p) || c.rejectCongested(now, p) {
		return
	}
	t := &ticket{Produce: p, issued: now}
	t.Number, _ = c.tickets.Issue(p.Lane, t)
	c.stats.Issued++
	delete(c.emptied, p.Lane)
	c.stageTicket(now, t, "")
}

func (c *Core) committed(entry messages.Entry) {
	offset := entry.BaseOffset
	c.fx.Answers = slices.Grow(c.fx.Answers, len(entry.Batches))
	for i := range entry.Batches {
		b := &entry.Batches[i]
		c.settle(b.Lane, b.Number, Answer{Offset: offset, Extent: b.Extent})
		offset += int64(b.Records)
	}
}

func (c *Core) outcomes(now time.Time, outcomes []messages.Outcome) {
	for _, o := range outcomes {
		answer := Answer{Offset: o.Offset, Duplicate: o.Duplicate}
		if o.Code == protocol.CodeNotCommitted {
			// The replicator has evicted the lane and would refuse all numbers up to its
			// highest number of an evicted one. The lane continues above that.
			c.tickets.Leap(o.Lane, o.Number)
		}
		if o.Code != protocol.CodeOK {
			answer = Answer{Error: c.failure(o.Lane, o.Number, c.outcomeCode(now, o), o.Detail)}
		}
		c.settle(o.Lane, o.Number, answer)
	}
}

// outcomeCode returns the code for the producer of a refused batch. A replicator that has
// evicted a lane refuses its tickets with NOT_COMMITTED, or with OVERLOADED if it has no room
// for the lane. Usually such tickets were resolved long before. If the frontend was suspended
// and the ticket is past its deadline, the batch may be in the log in spite of the refusal,
// and the outcome is unknown.
func (c *Core) outcomeCode(now time.Time, o messages.Outcome) protocol.Code {
	if o.Code != protocol.CodeNotCommitted && o.Code != protocol.CodeOverloaded {
		return o.Code
	}
	if t, open := c.tickets.Find(o.Lane, o.Number); open && now.Sub(t.issued) >= c.times.Deadline {
		return protocol.CodeOutcomeUnknown
	}
	return o.Code
}

// settle records the outcome of a ticket and answers all tickets that it resolves.
func (c *Core) settle(lane string, number uint64, outcome Answer) {
	t, open := c.tickets.Find(lane, number)
	if !open {
		return
	}
	t.outcome = outcome
	c.tickets.Settle(lane, number, c.resolved)
}

// resolved answers a ticket. It is called in ticket order.
func (c *Core) resolved(t *ticket) {
	a := t.outcome
	a.Request, a.Lane, a.Number, a.Epoch = t.Request, t.Lane, t.Number, c.epoch
	a.Records, a.Payload = int(t.Records), t.Payload
	c.emptied[t.Lane] = t.Number + 1
	c.fx.Answers = append(c.fx.Answers, a)
}

// flush sends what the handlers have gathered, one message per destination.
func (c *Core) flush() {
	c.flushStage()
	for part := range slices.Chunk(c.progress, itemsPerMessage) {
		c.send(messages.SequencerSubject(c.partition), messages.Advance{Partition: c.partition, Epoch: c.epoch, Lanes: part})
	}
	c.progress = nil
}

func (c *Core) send(subject string, m messages.Message) {
	c.fx.Send = append(c.fx.Send, messages.Envelope{Subject: subject, Message: m})
}
