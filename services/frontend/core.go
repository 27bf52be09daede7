// Package frontend receives what producers send, gives every batch its ticket
// before anything asynchronous happens to it, and answers each request once, in
// ticket order within a lane.
//
// It owns, per partition, the tickets that are not resolved, with the payloads
// that may have to be staged again. It never writes to the object store or the
// log.
package frontend

import (
	"maps"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/pkg/ticketing"
)

// Times are the times that a core goes by.
type Times struct {
	Heartbeat    time.Duration // how long a ticket may be outstanding before its lane is repaired
	StageTimeout time.Duration // must be longer than linger plus the slowest usual upload
	Deadline     time.Duration // how long a producer waits at most
}

// Produce is a batch that a producer has sent.
type Produce struct {
	Lane         string
	MessageID    string
	Sequence     messages.Sequence // zero without a producer id
	FirstUnacked int32
	Expect       messages.Expectation
	Trace        messages.Trace
	Payload      []byte // a batch frame
	Records      int
	Request      Request
}

// Request is what the shell needs to answer a producer; the core only hands it
// back.
type Request any

// Event is what the core is told: Produce, or a messages.Message that arrived.
// An entry of the log comes as CommittedEntry.
type Event any

// CommittedEntry is an entry that has been committed, decoded.
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

// Effects is what a step wants done, in this order: what is sent makes tickets
// durable knowledge, what is answered leaves in ticket order.
type Effects struct {
	Send    []messages.Envelope
	Answers []Answer
	Ready   bool   // the epoch is announced: requests may be admitted from now on
	Fenced  uint64 // not 0: an owner of this higher epoch exists; the core is dead and silent
}

// Core decides about one partition. It is pure: events and time come in,
// effects go out. It belongs to one goroutine.
type Core struct {
	partition protocol.Partition
	epoch     uint64
	times     Times

	announced   bool
	announcedAt time.Time // when the announcement was last sent
	fenced      bool
	unsaid      []Answer // of the turn in which it was fenced
	tickets     *ticketing.Issuer[*ticket]
	beat        time.Time         // when the lanes were last looked after
	emptied     map[string]uint64 // lanes without tickets since then, with their last floor

	damage        string // of the log, while the partition is read-only
	readOnlyUntil time.Time

	stage    []messages.StageBatch
	progress []messages.LaneProgress
	stats    Stats
	fx       Effects
}

// ticket is a batch that is not resolved.
type ticket struct {
	Produce
	number   uint64
	issued   time.Time
	stagedAt time.Time
	attempts uint32          // stagings asked for
	refused  map[uint32]bool // attempts that a stager refused
	again    time.Time       // when to stage again after a refusal; zero is not wanted
	outcome  Answer
}

// Stats counts what happened on a partition.
type Stats struct {
	Issued      uint64
	Restaged    uint64
	GivenUp     uint64
	Outstanding int
	Damage      string // of the log, while the partition is read-only
}

// NewCore returns a core that has to announce its epoch first.
func NewCore(partition protocol.Partition, epoch uint64, times Times) *Core {
	return &Core{
		partition: partition, epoch: epoch, times: times,
		tickets: ticketing.NewIssuer[*ticket](), emptied: make(map[string]uint64),
	}
}

// Stats returns what happened so far.
func (c *Core) Stats() Stats { return c.stats }

// Step takes what happened, in order, and returns what is to be done. Without
// events it only does what time asks for.
func (c *Core) Step(now time.Time, events []Event) Effects {
	c.fx = Effects{}
	for _, e := range events {
		if c.fenced {
			c.turnAway(e)
			continue
		}
		c.handle(now, e)
	}
	if c.fenced {
		return Effects{Fenced: c.fx.Fenced}
	}
	c.announce(now)
	if now.Sub(c.beat) >= c.times.Heartbeat {
		c.beat = now
		c.heartbeat(now)
	}
	c.flush()
	c.stats.Outstanding = c.tickets.Outstanding()
	if c.stats.Damage = c.damage; !now.Before(c.readOnlyUntil) {
		c.stats.Damage = ""
	}
	return c.fx
}

func (c *Core) handle(now time.Time, e Event) {
	if m, ok := e.(messages.Message); ok && m.Of() != c.partition {
		return // of an earlier incarnation of the topic
	}
	switch e := e.(type) {
	case Produce:
		c.produce(now, e)
	case messages.Refused:
		if e.Epoch == c.epoch {
			c.refused(now, e.Refusals)
		}
	case messages.Missing:
		if e.Epoch == c.epoch {
			c.missing(now, e.Lanes)
		}
	case CommittedEntry:
		if e.Partition == c.partition && e.Entry.Epoch == c.epoch {
			c.committed(e.Entry)
		}
	case messages.Outcomes:
		if e.Epoch == c.epoch {
			c.outcomes(now, e.Outcomes)
		}
	case messages.ReadOnly:
		c.readOnly(now, e.Damage)
	case messages.Announced:
		if e.Epoch == c.epoch && !c.announced {
			c.announced, c.fx.Ready = true, true
		}
	case messages.Fenced:
		if e.Epoch > c.epoch {
			c.fenced, c.unsaid = true, c.fx.Answers
			c.fx = Effects{Fenced: e.Epoch}
		}
	}
}

// turnAway keeps an answer for a request that came in the turn in which the core was
// fenced, but after that: it has got no ticket.
func (c *Core) turnAway(e Event) {
	if p, is := e.(Produce); is {
		err := protocol.Errorf(protocol.CodeUnavailable, "partition %s, epoch %d: its owner is fenced", c.partition, c.epoch)
		c.unsaid = append(c.unsaid, Answer{Request: p.Request, Lane: p.Lane, Records: p.Records, Payload: p.Payload, Error: err})
	}
}

// announce makes the epoch known before the first ticket, and until it is
// confirmed.
func (c *Core) announce(now time.Time) {
	if c.announced || now.Sub(c.announcedAt) < c.times.Heartbeat {
		return
	}
	c.announcedAt = now
	c.send(messages.SequencerSubject(c.partition), messages.Announce{Partition: c.partition, Epoch: c.epoch})
}

// produce issues the ticket: the batch has its turn from here on.
func (c *Core) produce(now time.Time, p Produce) {
	if c.refuses(now, p) {
		return
	}
	t := &ticket{Produce: p, issued: now}
	t.number, _ = c.tickets.Issue(p.Lane, t)
	c.stats.Issued++
	delete(c.emptied, p.Lane)
	c.stageTicket(now, t)
}

func (c *Core) stageTicket(now time.Time, t *ticket) {
	t.attempts++
	t.stagedAt, t.again = now, time.Time{}
	c.stage = append(c.stage, messages.StageBatch{
		Lane: t.Lane, Number: t.number, Floor: c.tickets.Floor(t.Lane), Attempt: t.attempts,
		Remaining: t.issued.Add(c.times.Deadline).Sub(now).Milliseconds(), Records: uint32(t.Records),
		MessageID: t.MessageID, Sequence: t.Sequence, FirstUnacked: t.FirstUnacked,
		Expect: t.Expect, Trace: t.Trace, Payload: t.Payload,
	})
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
			// The replicator has forgotten the lane: numbers as low as this one
			// would be refused for as long as the lane lives.
			c.tickets.Leap(o.Lane, o.Number)
		}
		if o.Code != protocol.CodeOK {
			answer = Answer{Error: c.failure(o.Lane, o.Number, c.believed(now, o), o.Detail)}
		}
		c.settle(o.Lane, o.Number, answer)
	}
}

// believed returns what a refusal says to its producer. The replicator refuses what it
// knows nothing of any more, because its ticket must have been resolved long ago. If the
// frontend stood still for so long that it was not, the batch may be in the log.
func (c *Core) believed(now time.Time, o messages.Outcome) protocol.Code {
	if o.Code != protocol.CodeNotCommitted && o.Code != protocol.CodeOverloaded {
		return o.Code
	}
	if t, open := c.tickets.Find(o.Lane, o.Number); open && now.Sub(t.issued) >= c.times.Deadline {
		return protocol.CodeOutcomeUnknown
	}
	return o.Code
}

// settle notes the outcome of a ticket and answers all that are now resolved.
func (c *Core) settle(lane string, number uint64, outcome Answer) {
	t, open := c.tickets.Find(lane, number)
	if !open {
		return
	}
	t.outcome = outcome
	c.tickets.Settle(lane, number, c.resolved)
}

// resolved answers a ticket; it is called in ticket order.
func (c *Core) resolved(t *ticket) {
	a := t.outcome
	a.Request, a.Lane, a.Number, a.Epoch = t.Request, t.Lane, t.number, c.epoch
	a.Records, a.Payload = t.Records, t.Payload
	c.emptied[t.Lane] = t.number + 1
	c.fx.Answers = append(c.fx.Answers, a)
}

// flush sends what the handlers gathered, one message per destination.
func (c *Core) flush() {
	c.flushStage()
	for part := range slices.Chunk(c.progress, itemsPerMessage) {
		c.send(messages.SequencerSubject(c.partition), messages.Advance{Partition: c.partition, Epoch: c.epoch, Lanes: part})
	}
	c.progress = nil
}

const (
	// itemsPerMessage bounds a message without payloads.
	itemsPerMessage = 2000
	// stageBytes bounds a stage request of more than one batch, so that several
	// stagers share a burst and a request stays far below NATS' max_payload.
	stageBytes = 1 << 20
)

func (c *Core) flushStage() {
	for start := 0; start < len(c.stage); {
		end, size := start, 0
		for end < len(c.stage) && end-start < itemsPerMessage {
			size += len(c.stage[end].Payload)
			if size > stageBytes && end > start {
				break
			}
			end++
		}
		c.send(messages.StageSubject, messages.Stage{
			Partition: c.partition, Epoch: c.epoch, Batches: c.stage[start:end],
		})
		start = end
	}
	c.stage = nil
}

func (c *Core) send(subject string, m messages.Message) {
	c.fx.Send = append(c.fx.Send, messages.Envelope{Subject: subject, Message: m})
}

// sortedLanes returns the names of a set of lanes in a fixed order.
func sortedLanes(lanes map[string]uint64) []string { return slices.Sorted(maps.Keys(lanes)) }
