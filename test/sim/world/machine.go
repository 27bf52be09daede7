package world

import (
	"fmt"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/fetch"
	replicator "laneway.dev/services/replicator/core"
	stager "laneway.dev/services/stager/core"
	"laneway.dev/test/sim/check"
)

// Event is what a machine takes: a *Message, a Request, a Reading, or an event of its core.
type Event any

// Core is the core of a service, with the part of its shell that turns arrivals into events
// and brings the effects of all cores into one form. There is one type for each role.
type Core interface {
	// Step takes what has arrived in one turn, and adds to an empty Output. Without events the core
	// notices the time. It MUST NOT keep the slice of the events.
	Step(now time.Time, events []Event, out *Output)
}

// Output is what a core wants to have done, and what it shows to the checks.
type Output struct {
	Work
	Send []messages.Envelope
}

// Machine is a core in the world of a scheduler.
type Machine interface {
	// Step returns the machine after the events, which may be the same one.
	Step(now time.Time, events []Event) (Machine, *Effects)
}

// Effects is what a machine wants to have done. Its receiver MUST NOT change it.
type Effects struct {
	*Work
	Send []Envelope

	live *Live // that takes them back; nil is none
	out  Output
}

// done gives the effects back to a machine that reuses their memory. Effects with requests of a client
// are not given back.
func (fx *Effects) done() {
	if fx.live != nil {
		fx.live.spare = fx
	}
}

// Envelope is a message with its subject.
type Envelope struct {
	Subject string
	Message *Message
}

// Message is a message in its wire form.
type Message struct {
	ID   int // of a scheduler that keeps equal messages once
	Data []byte
}

// Decode returns the message. Each receiver decodes it for itself, because it may keep it.
func (m *Message) Decode() messages.Message {
	message, err := messages.Decode(m.Data)
	if err != nil {
		panic(fmt.Sprint("wire: a message cannot be decoded: ", err))
	}
	return message
}

// Work is what a machine wants done besides sending. Most fields are for one role.
type Work struct {
	Seen  []check.Sighting
	Stats Stats

	TakeEpoch uint64 // an epoch above this one is needed
	Ended     bool   // the core has ended, because it was replaced

	Answers   []Answer
	Ready     bool                      // requests are admitted from now on
	Ends      []fetch.LogState          // of the log, as it was announced
	Fenced    []messages.ProducerFenced // answers to questions of inits
	Truncated []messages.Truncated      // answers to requests to truncate
	Announced []messages.Committed      // entries that a replicator claims to be in the log

	Load    bool
	Append  *replicator.Append
	Read    *replicator.Read
	Mark    *replicator.WriteMark
	Save    *replicator.Save
	Scrub   bool
	Purge   *replicator.Purge
	AskTime bool
	Damage  string // the log is called damaged

	Jobs []messages.Archive // that an archiver begins to work on

	Uploads []*stager.Object

	Client ClientWork
}

// Stats is what a machine counts.
type Stats struct {
	Open      int // tickets of a frontend, lanes of a sequencer, lanes of a replicator, bytes of a stager, jobs of an archiver
	Producers int
	IDs       int
	Leading   bool

	// Counted in the last step only.
	Early, Repeated, GivenUp, Outdated int
}

// Answer is the answer of a frontend to a request.
type Answer struct {
	Request
	Ticket    check.Ticket // without a number if the request was refused before it got one
	Offset    int64
	Duplicate bool
	Code      protocol.Code
	Detail    string
}

// Err returns the error that the answer has; nil is none.
func (a *Answer) Err() *protocol.Error {
	if a.Code == protocol.CodeOK {
		return nil
	}
	return protocol.NewError(a.Code, a.Detail)
}

func (a *Answer) String() string {
	switch {
	case a.Code != protocol.CodeOK:
		return a.Err().Error()
	case a.Duplicate:
		return fmt.Sprintf("a duplicate of offset %d", a.Offset)
	default:
		return fmt.Sprintf("offset %d", a.Offset)
	}
}

// Live is the machine of a scheduler that never goes back: the core itself. A world takes millions of
// steps in a campaign, so Live reuses the memory of effects that are done.
type Live struct {
	Core  Core
	spare *Effects
}

// Step lets the core take the events.
func (l *Live) Step(now time.Time, events []Event) (Machine, *Effects) {
	fx := l.spare
	l.spare = nil // a step may lead to another one before its effects are done
	if fx == nil {
		fx = &Effects{live: l}
		fx.Work = &fx.out.Work
	} else {
		fx.out = Output{Work: Work{Seen: fx.Seen[:0], Answers: fx.Answers[:0]}}
	}
	l.Core.Step(now, events, &fx.out)
	fx.Send = fx.Send[:0]
	for _, e := range fx.out.Send {
		fx.Send = append(fx.Send, Envelope{e.Subject, &Message{Data: messages.Encode(e.Message)}})
	}
	return l, fx
}
