package world

import (
	"time"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/sim/check"
)

// WindowCore is the window of an idempotent producer in the Go client, with its source.
type WindowCore struct {
	settings WindowSettings
	next     int // record of the source that is added next
	acked    int
	window   *delivery.Window[check.Batch]
}

// WindowSettings are what does not change in the life of a producer.
type WindowSettings struct {
	Instance, Client int
	Partition        int // its index
	Lane             string
	ID               int64
	Epoch            int16
	Start            int32 // producer sequence of the source's first record
	First            int32 // of the first one that this instance sends
	Records          int   // of the source
	Delivery         delivery.Settings
	Size             func(left int) int // records of the next batch
}

// NewWindow returns the window of a producer that continues at a sequence.
func NewWindow(s WindowSettings) *WindowCore {
	s.Delivery.First = s.First
	next := int(protocol.AddSequence(s.First, -int64(s.Start)))
	return &WindowCore{settings: s, next: next, acked: next, window: delivery.New[check.Batch](s.Delivery)}
}

// What a window takes.
type (
	// Send asks the window for its requests: at most Most, where 0 means all. The window
	// adds no records from Until on.
	Send struct{ Until, Most int }
	// Answered is the answer to an attempt.
	Answered struct {
		ID     delivery.ID
		Code   protocol.Code
		Detail string
	}
	// Disconnected and Reconnected are about the connection of the client.
	Disconnected struct{}
	Reconnected  struct{}
)

// ClientWork is what a window wants to have done.
type ClientWork struct {
	Requests []Request
	Next     int       // record that is added next
	Acked    int       // all records before it are acknowledged
	Wake     time.Time // zero is never
	Failed   protocol.Code
	Absent   []check.Batch // after a failure: what is not in the log and never will be
}

// Step implements Core.
func (k *WindowCore) Step(now time.Time, events []Event, out *Output) {
	for _, e := range events {
		switch e := e.(type) {
		case Send:
			k.send(now, e, out)
		case Answered:
			if e.Code == protocol.CodeOK {
				k.window.OK(now, e.ID)
			} else {
				k.window.Refused(now, e.ID, protocol.NewError(e.Code, e.Detail))
			}
		case Disconnected:
			k.window.Disconnect(now)
		case Reconnected:
			k.window.Reconnect()
		}
	}
	for batch, ok := k.window.Acked(); ok; batch, ok = k.window.Acked() {
		k.acked = batch.First + batch.Records
	}
	c := &out.Client
	c.Next, c.Acked, c.Failed = k.next, k.acked, protocol.CodeOK
	if at, ok := k.window.Wake(); ok {
		c.Wake = at
	}
	if err := k.window.Err(); err != nil {
		k.failed(err, out)
	}
}

// send fills the window and makes attempts.
func (k *WindowCore) send(now time.Time, s Send, out *Output) {
	set := &k.settings
	for k.next < min(set.Records, s.Until) && k.window.Room() {
		batch := check.Batch{Client: set.Client, First: k.next, Records: set.Size(set.Records - k.next)}
		if err := k.window.Add(now, batch, batch.Records); err != nil {
			k.failed(err, out)
			return
		}
		k.next += batch.Records
	}
	for s.Most == 0 || len(out.Client.Requests) < s.Most {
		next, ok := k.window.Next(now)
		if !ok {
			return
		}
		out.Client.Requests = append(out.Client.Requests, Request{
			Instance: set.Instance, Partition: set.Partition, Batch: next.Batch, ID: next.ID, Lane: set.Lane,
			Sequence:     messages.Sequence{ProducerID: set.ID, ProducerEpoch: set.Epoch, First: next.Sequence},
			FirstUnacked: next.FirstUnacked,
		})
	}
}

func (k *WindowCore) failed(err error, out *Output) {
	out.Client.Failed = protocol.AsError(err).Code
	for batch, ok := k.window.Failed(); ok; batch, ok = k.window.Failed() {
		if k.window.Absent() {
			out.Client.Absent = append(out.Client.Absent, batch)
		}
	}
}
