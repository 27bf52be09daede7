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
	Heartbeat     time.Duration // after which an idle consumer is asked for a sign of life
	CreditTimeout time.Duration // after which a silent consumer's fetch ends
}

// phase is what the open question is for.
type phase uint8

const (
	starting     phase = iota // where does the log end?
	measuring                 // from which entry on do the times rise?
	searching                 // binary search for the entry to start with
	anchoring                 // what is the entry in front of it?
	anchoringFar              // and if that is damaged, which is the next one?
	reading                   // which entries follow?
	skipping                  // what follows a damaged entry?
	loading                   // which payloads have the next batches?
	checking                  // does the log still have what was delivered?
	failing                   // was the topic deleted?
)

// Core decides about one fetch: events and time come in, effects go out. It is not
// safe for concurrent use.
type Core struct {
	partition   protocol.Partition
	request     Request
	requestedAt time.Time // when the request came
	known       Known

	placed bool  // whether the fetch has found where it starts
	limit  int64 // the offset up to which a fetch reads that does not follow
	place        // where it is
	search search
	probe  probe

	question Question        // nil if none is open
	phase    phase           // of the question
	failure  failure         // to end with unless the topic was deleted
	damage   *protocol.Error // that is skipped

	wanted   int // how many batches of the queue are being loaded
	loaded   int // how many batches of the queue may be delivered
	payloads []Payload
	frame    *protocol.FrameReader // of the batch that is being delivered; nil if there is none
	at       int64                 // offset of the frame's next record

	records  int64 // delivered so far, without those of a frame that lie before the start
	bytes    int64
	messages int64
	full     bool // whether what was asked for is delivered
	started  bool // whether anything was sent
	seen     bool // whether the log was seen up to the place, though its known end may be older

	compared uint64 // the renewal of the log's state after which the place was last compared with it
	pace     pace
	ending   *Status // to end with once everything is sent
	fx       Effects
}

// place is a place in the log.
type place struct {
	offset   int64     // of the next record to deliver
	sequence uint64    // of the next entry to queue
	since    time.Time // entries before it are passed over, until one is not
	queue    []batch
}

// New returns the core of a fetch that was asked for now.
func New(partition protocol.Partition, request Request, settings Settings, now time.Time) *Core {
	return &Core{partition: partition, request: request, requestedAt: now, pace: newPace(request.WindowBytes, settings, now)}
}

// Step takes what has happened, in order, and returns what is to be done. Without
// events it only does what time asks for. The first step asks where the log ends.
func (c *Core) Step(now time.Time, events []Event) Effects {
	sent := c.fx.Send
	c.fx = Effects{Send: sent[:0]}
	for _, e := range events {
		c.handle(now, e, sent)
	}
	clear(sent) // a fetch that waits holds no payloads
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
		c.answer(e)
	}
}

func (c *Core) ask(phase phase, q Question) { c.question, c.phase, c.fx.Ask = q, phase, q }

// answer takes the answer to the open question.
func (c *Core) answer(e Event) {
	if c.question == nil {
		return
	}
	c.question = nil
	switch e := e.(type) {
	case LookedUp:
		if c.phase == checking {
			c.checked(e.State)
		} else {
			c.start(e.State)
		}
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
		switch {
		case c.phase == reading && isCorrupt(e.Err):
			c.unreadable(e.Err)
		case c.phase == starting || c.phase == checking || c.phase == reading:
			c.fail(e.Err)
		default:
			c.probeFailed(e.Err)
		}
	case Loaded:
		c.payloads, c.loaded = e.Payloads, c.wanted
	case Deleted:
		if e.Deleted {
			c.end(errDeleted)
		} else {
			c.endWith(c.failure)
		}
	}
}

// drive does what can be done without an answer.
func (c *Core) drive(now time.Time) {
	for c.ending == nil && c.question == nil {
		var waits bool
		switch {
		case !c.placed:
			c.ask(starting, LookUp{})
		case len(c.fx.Send) >= maxSend:
			c.fx.More = true
			return
		case c.full:
			c.finish(protocol.StatusEnd, "what was asked for is delivered")
		case c.loaded > 0:
			c.deliver(now)
		case c.offset >= c.limit:
			waits = c.atEnd(now)
		case len(c.queue) == 0:
			c.ask(reading, Read{c.sequence, readAhead})
		default:
			waits = c.load(now)
		}
		if waits {
			return
		}
	}
}
