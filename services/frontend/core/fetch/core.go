package fetch

import (
	"time"

	"laneway.dev/pkg/protocol"
)

// maxSend is how many messages a step sends at most. It bounds what a fetch holds in
// memory for a batch of many small records.
const maxSend = 64

// Settings are the times of a fetch.
type Settings struct {
	Heartbeat     time.Duration // of an idle fetch; the consumer answers with a credit
	CreditTimeout time.Duration // a fetch ends when its consumer has sent nothing for this long
	StorePatience time.Duration // a fetch without heartbeats ends when the object store returns nothing for this long

	JoinBytes int // how long a frame is at most that has the records of several batches
}

// phase is the purpose of the open question.
type phase uint8

const (
	starting     phase = iota // look up the end of the log
	measuring                 // search by time: find the first entry of a stretch of rising times
	narrowing                 // ask the history which of its entries to search
	searching                 // binary search for the entry to start with
	anchoring                 // read the entry before it, for the exact start offset
	anchoringFar              // that entry is damaged: read the next readable one instead
	reading                   // read the entries that follow
	skipping                  // find the first readable entry after a damaged one
	loading                   // load the payloads of the next batches
	checking                  // look up whether the log still has what was delivered
	verifying                 // look up whether what seems to be lost was archived
	failing                   // ask whether the topic was deleted
)

// Core decides about one fetch: events and time go in, effects come out. It is not
// safe for concurrent use.
type Core struct {
	partition   protocol.Partition
	request     Request
	requestedAt time.Time // when the request arrived
	known       Known

	storePatience time.Duration
	joinBytes     int

	placed bool  // whether the fetch has found where it starts
	limit  int64 // without follow: the offset at which the fetch ends
	place        // of the next record
	search search
	probe  probe

	question Question        // nil if none is open
	phase    phase           // of the question
	repeat   Question        // is asked again when the store may be back; nil if none is
	doubt    doubt           // the answer that is being verified
	moved    int             // how often the history has moved away from what was asked for, since anything was delivered
	failure  failure         // the end of the fetch, unless the topic was deleted
	damage   *protocol.Error // of the entry that is skipped

	source   string // manifest of the history from which entries are read for the queue; empty for the stream
	stuck    bool   // whether the entries after those in the queue could not be queued
	reads    int    // how often entries were read since the last load; maxReads before the first one
	wanted   int    // how many batches of the queue are being loaded
	loaded   int    // how many batches of the queue may be delivered
	payloads []Payload
	growth   int64                 // estimate of how many times longer the next batch is in the form that is sent
	unpacked int                   // bytes of compressed batches that this step has decompressed
	frame    *protocol.FrameReader // of the batch that is being delivered; nil if there is none
	at       int64                 // offset of the frame's next record
	joint    protocol.FrameBuilder // the last message, if it has several batches

	records   int64 // delivered so far, without those of a frame before the start offset
	bytes     int64
	messages  int64
	full      bool  // whether a limit of the request is reached
	started   bool  // whether anything was sent
	startedAt int64 // offset of the fetch before that, or Unknown if the request names it
	seen      bool  // whether entries up to the place were read; the known end may be lower

	compared uint64 // Known.Renewed when the place was last compared with the end of the log
	pace     pace
	retry    retry
	ending   *Status // the last status, once everything before it is sent
	fx       Effects
}

// place is a place in the log.
type place struct {
	offset   int64     // of the next record to deliver
	sequence uint64    // of the next entry to queue
	since    time.Time // entries before this time are skipped, up to the first later one
	queue    []batch
}

// New returns the core of a fetch that was requested at now.
func New(partition protocol.Partition, request Request, settings Settings, now time.Time) *Core {
	return &Core{
		growth: 1, reads: maxReads, partition: partition, request: request, startedAt: Unknown, requestedAt: now,
		storePatience: settings.StorePatience, joinBytes: settings.JoinBytes, pace: newPace(request.WindowBytes, settings, now),
	}
}

// Step handles events in their order and returns the effects. The shell also calls it
// without events, at Effects.Wake. The first step looks up the end of the log.
func (c *Core) Step(now time.Time, events []Event) Effects {
	sent := c.fx.Send
	c.fx = Effects{Send: sent[:0]}
	c.unpacked, c.joint = 0, protocol.FrameBuilder{}
	for _, e := range events {
		c.handle(now, e, sent)
	}
	clear(sent) // a waiting fetch must not hold payloads in memory
	c.drive(now)
	if c.ending == nil {
		return c.fx
	}
	c.closeFrame()
	c.payloads = nil
	if len(c.fx.Send) > 0 {
		// The end follows in a step of its own, in case one of the messages cannot be sent.
		c.fx = Effects{Send: c.fx.Send, More: true}
	} else {
		c.fx = Effects{End: c.ending}
	}
	return c.fx
}

func (c *Core) handle(now time.Time, e Event, sent []Message) {
	if c.ending != nil {
		if e, ok := e.(SendFailed); ok {
			c.sendFailed(e, sent)
		}
		return
	}
	switch e := e.(type) {
	case Moved:
		c.known = e.Known
	case Control:
		c.control(now, e)
	case SendFailed:
		c.sendFailed(e, sent)
	case Disconnected:
		if c.unconfirmed() {
			c.end(errDisconnected)
		}
	case Closed:
		c.end(e.Why)
	default:
		c.answer(e, now)
	}
}

// ask opens a question.
func (c *Core) ask(phase phase, q Question) {
	c.question, c.phase, c.fx.Ask = q, phase, q
	if phase == reading {
		c.source = historyOf(q).Manifest
	}
	if needsStore(q) {
		c.storeAsked()
	}
}

// read returns the question for entries of the log.
func (c *Core) read(from uint64, limit int) Read {
	q := Read{From: from, Limit: limit}
	if c.known.archived(from) {
		q.History = c.known.History
	}
	return q
}

// answer handles the answer to the open question.
func (c *Core) answer(e Event, now time.Time) {
	q := c.question
	if q == nil {
		return
	}
	c.question = nil
	switch {
	case c.phase == reading && len(c.queue) > 0 && !isWhole(q, e):
		c.stuck = true // read again when the queue is delivered
	case isAway(e):
		c.askLater(q, e.(Failed), now)
	case isDoubtful(q, e):
		c.verify(q, e)
	default:
		if _, loaded := e.(Loaded); !loaded {
			c.storeDone() // the result of a load is that of its first payload
		}
		c.handleAnswer(e)
	}
}

// handleAnswer handles the answer to a question that was open.
func (c *Core) handleAnswer(e Event) {
	switch e := e.(type) {
	case LookedUp:
		switch state := e.State.begins(); c.phase {
		case checking:
			c.checked(state)
		case verifying:
			c.verified()
		default:
			c.start(state)
		}
	case Narrowed:
		c.narrowed(e)
	case Entries:
		switch {
		case len(e.Entries) == 0:
			c.fail(protocol.Errorf(protocol.CodeUnavailable, "the log of partition %s returned no entries", c.partition))
		case c.phase == reading:
			c.fill(e.Entries)
		default:
			c.probed(&e.Entries[0])
		}
	case Failed:
		c.failed(e)
	case Loaded:
		c.payloads, c.loaded, c.retry.random = e.Payloads, c.wanted, e.Random
	case Deleted:
		if e.Deleted {
			c.end(errDeleted)
		} else {
			c.endWith(c.failure)
		}
	}
}

// failed handles a question that could not be answered.
func (c *Core) failed(e Failed) {
	corrupt := isCorrupt(e.Err)
	switch c.phase {
	case reading:
		if corrupt {
			c.unreadable(e)
			return
		}
	case narrowing:
		if corrupt {
			c.notNarrowed()
			return
		}
	case starting, checking, verifying:
	default:
		c.probeFailed(e)
		return
	}
	c.fail(e.Err)
}

// drive continues the fetch until it needs an answer, waits, or has filled a step. The order
// of the cases is the order of the work: find the start, send, finish at a limit, deliver
// loaded batches, wait at the end, read entries, load payloads.
func (c *Core) drive(now time.Time) {
	for c.ending == nil && c.question == nil {
		var waits bool
		switch {
		case c.repeat != nil:
			waits = c.askAgain(now)
		case !c.placed:
			c.ask(starting, LookUp{})
		case len(c.fx.Send) >= maxSend, c.unpacked >= MaxRange:
			c.fx.More = true
			return
		case c.full:
			c.finish(protocol.StatusEnd, "a limit of the request is reached")
		case c.loaded > 0:
			c.deliver(now)
		case c.offset >= c.limit:
			waits = c.atEnd(now)
		case c.isBehind(c.offset):
			c.fallenBehind()
		case len(c.queue) == 0, c.runsLow():
			c.reads++
			c.passHistory()
			c.ask(reading, c.read(c.sequence, readAhead))
		default:
			waits = c.load(now)
		}
		if waits {
			return
		}
	}
	if c.ending == nil && needsStore(c.question) {
		c.waitForStore(now, time.Time{})
	}
}
