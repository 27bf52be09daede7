package world

import (
	"fmt"
	"time"

	"laneway.dev/pkg/delivery"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/test/sim/check"
)

// Client feeds a source of records to a partition, on a lane. A plain one has no
// producer id. A named one may die and come back as another instance under its name.
type Client struct {
	Number    int
	Partition int // its index
	Plain     bool
	Lane      string
	ID        int64
	Start     int32 // producer sequence of the source's first record
	Records   int   // of the source
	Name      *Name // of a named client

	current int // index of its instance, plus one; 0 is none yet
}

// Instance is one life of a client.
type Instance struct {
	Index  int // among all instances
	Client int
	Life   int // of the client
	ID     int64
	Epoch  int16
	Window Machine // nil of a plain client, and of one that has no epoch yet
	Next   int     // record of the source that is sent next
	Acked  int     // all before it are acknowledged
	Dead   bool
	Wake   time.Time // when the window has something to do; zero is not before it gets an event

	inits int // that were sent
}

func (i *Instance) String() string { return fmt.Sprintf("client-%d.%d", i.Client, i.Life) }

// Request is a batch on its way to a frontend, and the instance that waits for the answer.
type Request struct {
	Instance     int // its index
	Partition    int // its index
	Batch        check.Batch
	ID           delivery.ID
	Lane         string
	Sequence     messages.Sequence
	FirstUnacked int32
	MessageID    string
	Expect       messages.Expectation
}

func (r Request) String() string {
	return fmt.Sprintf("%s, attempt %d", r.Batch, r.ID.Attempt)
}

// produce returns what the core of a frontend gets of a request.
func (r Request) produce(id protocol.Partition) frontend.Produce {
	return frontend.Produce{
		Partition: id,
		Submission: messages.Submission{
			Batch: messages.Batch{
				Ticket: messages.Ticket{Lane: r.Lane}, Records: uint32(r.Batch.Records), MessageID: r.MessageID, Sequence: r.Sequence,
			},
			FirstUnacked: r.FirstUnacked, Expect: r.Expect,
		},
		Payload: r.Batch.Payload(), Request: r,
	}
}

// Lane returns the lane of a client.
func Lane(number int, id int64, plain bool) string {
	if plain {
		return fmt.Sprint("p:plain-", number)
	}
	return fmt.Sprint("i:", id)
}

// Current returns the newest instance of a client; nil is none yet.
func (w *World) Current(c *Client) *Instance {
	if c.current == 0 {
		return nil
	}
	return w.Instances[c.current-1]
}

// Connect starts the next instance of a client, and returns it.
func (w *World) Connect(c *Client) *Instance {
	i := &Instance{Index: len(w.Instances), Client: c.Number, ID: c.ID}
	if before := w.Current(c); before != nil {
		i.Life = before.Life + 1
	}
	w.Instances = append(w.Instances, i)
	c.current = len(w.Instances)
	return i
}

// Plain returns a request of a plain client, which no window sends again.
func (w *World) Plain(i *Instance, batch check.Batch, attempt int) Request {
	return Request{
		Instance: i.Index, Partition: w.Clients[i.Client].Partition, Batch: batch, ID: delivery.ID{Batch: uint64(batch.First), Attempt: attempt},
		Lane: w.Clients[i.Client].Lane, FirstUnacked: protocol.NotSaid,
	}
}

// Done reports whether all records of an idempotent client are acknowledged.
func (w *World) Done(c *Client) bool {
	i := w.Current(c)
	return i != nil && i.Acked == c.Records
}

// Hear brings an answer to its client. An idempotent one has more to send then, perhaps.
func (w *World) Hear(a Answer) {
	i := w.Instances[a.Instance]
	if i.Dead {
		return
	}
	if w.Tracing {
		w.Say("  %s: %s is answered: %s", i, a.Request, &a)
	}
	if a.Code == protocol.CodeOK {
		w.See(a.Partition, check.Acked{Batch: a.Batch, Offset: a.Offset})
	}
	if i.Window != nil {
		w.StepWindow(i, Answered{a.ID, a.Code, a.Detail})
	}
}

// StepWindow lets the window of an instance take events, and returns what it sends.
func (w *World) StepWindow(i *Instance, events ...Event) []Request {
	window, fx := i.Window.Step(w.Now, events)
	c := &fx.Client
	i.Window, i.Next, i.Acked, i.Wake = window, c.Next, c.Acked, c.Wake
	if c.Failed == protocol.CodeOK {
		requests := c.Requests
		fx.done()
		return requests
	}
	i.Dead = true
	w.Say("%s fails: %s", i, protocol.NewError(c.Failed, ""))
	for _, batch := range c.Absent {
		w.See(w.Clients[i.Client].Partition, check.Absent{Batch: batch, ID: i.ID, Epoch: i.Epoch})
	}
	if c.Failed != protocol.CodeInvalidEpoch || i == w.Current(w.Clients[i.Client]) {
		w.Violated("I7: %s fails for good: %s", i, protocol.NewError(c.Failed, ""))
	}
	return nil
}

// Disconnect takes the connection of an instance away.
func (w *World) Disconnect(i *Instance) { w.StepWindow(i, Disconnected{}) }

// Reconnect gives the connection back.
func (w *World) Reconnect(i *Instance) { w.StepWindow(i, Reconnected{}) }

// Finished checks what must be true of all clients once faults have ended long ago.
// unfinished reports whether a plain client still waits for something.
func (w *World) Finished(unfinished func(*Client) bool) {
	for _, c := range w.Clients { // for one of a deleted partition, it is not checked
		w.See(c.Partition, check.Finished{Client: c.Number, Idempotent: !c.Plain, Done: !unfinished(c), Records: c.Records})
	}
}
