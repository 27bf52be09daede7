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

// Message is a parcel in its wire form: the messages of one turn to one subject, or one message.
type Message struct {
	ID   int // of a scheduler that keeps equal messages once
	Data []byte
}

// Each calls do with each of the messages. Each receiver decodes them for itself, because it may keep
// them.
func (m *Message) Each(do func(messages.Message)) {
	if err := messages.DecodeParcel(m.Data, do); err != nil {
		panic(fmt.Sprint("wire: a message cannot be decoded: ", err))
	}
}

// Decode returns the only message of a parcel.
func (m *Message) Decode() (only messages.Message) {
	m.Each(func(m messages.Message) {
		if only != nil {
			panic("wire: several messages travel together")
		}
		only = m
	})
	return only
}

// Any reports whether one of the messages is as wanted.
func (m *Message) Any(wanted func(messages.Message) bool) (is bool) {
	m.Each(func(m messages.Message) { is = is || wanted(m) })
	return is
}

// Work is what a machine wants done besides sending. Most fields are for one role.
type Work struct {
	Seen  []Seen
	Stats Stats

	TakeEpoch uint64 // an epoch above this one is needed

	Answers   []Answer
	Ready     []int                     // partitions whose requests are admitted from now on
	Ends      []End                     // of logs, as they were announced
	Fenced    []messages.ProducerFenced // answers to questions of inits
	Truncated []messages.Truncated      // answers to requests to truncate
	Announced []messages.Committed      // entries that a replicator claims to be in the log

	Logs []LogWork // of the partitions that have taken part

	Jobs []messages.Archive // that an archiver begins to work on

	Uploads []*stager.Object

	Client ClientWork
}

// Seen is what is seen of a partition, by its index.
type Seen struct {
	Of   int
	What check.Sighting
}

// See adds what is seen of a partition.
func (w *Work) See(of int, what check.Sighting) { w.Seen = append(w.Seen, Seen{of, what}) }

// End is the end of the log of a partition.
type End struct {
	Of    int
	State fetch.LogState
}

// LogWork is what a replicator wants done for one partition.
type LogWork struct {
	Of      int
	Load    bool
	Append  *replicator.Append
	Read    *replicator.Read
	Mark    *replicator.WriteMark
	Save    *replicator.Save
	Scrub   bool
	Purge   *replicator.Purge
	AskTime bool
	Damage  string // the log is called damaged
	Unbegun bool   // if Damage: because there is none
}

// Stats is what a machine counts.
type Stats struct {
	Open int                            // tickets of a frontend, lanes of a sequencer, lanes of a replicator, bytes of a stager, jobs of an archiver
	Of   [MostPartitions]PartitionStats // of a frontend and a replicator

	// Counted in the last step only.
	Early, Repeated, GivenUp, Outdated int
	Meetings                           int // of messages of different partitions in a parcel
}

// PartitionStats is what a machine counts of one partition.
type PartitionStats struct {
	Open      int    // tickets or lanes
	Epoch     uint64 // of a frontend
	Producers int
	IDs       int
	Leading   bool
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
	Core Core
	// Parcels means that the messages of one turn to one subject travel together, as in production.
	Parcels bool

	spare *Effects
	last  []protocol.Partition // of the last message of each parcel
}

// Step lets the core take the events.
func (l *Live) Step(now time.Time, events []Event) (Machine, *Effects) {
	fx := l.spare
	l.spare = nil // a step may lead to another one before its effects are done
	if fx == nil {
		fx = &Effects{live: l}
		fx.Work = &fx.out.Work
	} else {
		fx.out = Output{Work: Work{Seen: fx.Seen[:0], Answers: fx.Answers[:0], Logs: fx.Logs[:0]}}
	}
	l.Core.Step(now, events, &fx.out)
	fx.Send, l.last = fx.Send[:0], l.last[:0]
	for _, e := range fx.out.Send {
		if !l.Parcels || e.Subject == messages.ArchiveSubject || !l.joins(fx, e) {
			fx.Send = append(fx.Send, Envelope{e.Subject, &Message{Data: messages.Encode(e.Message)}})
			l.last = append(l.last, e.Message.Of())
		}
	}
	return l, fx
}

// joins adds a message to a parcel to its subject. It returns false if there is none yet. Jobs travel
// one by one, because archivers share them.
func (l *Live) joins(fx *Effects, e messages.Envelope) bool {
	for i := range fx.Send {
		if fx.Send[i].Subject != e.Subject {
			continue
		}
		m := fx.Send[i].Message
		m.Data = append(m.Data, messages.Encode(e.Message)...)
		if of := e.Message.Of(); of != l.last[i] {
			fx.Stats.Meetings++
			l.last[i] = of
		}
		return true
	}
	return false
}
