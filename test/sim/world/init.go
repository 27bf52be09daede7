package world

import (
	"context"
	"slices"
	"time"

	"laneway.dev/internal/core/producername"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/producerinit"
	"laneway.dev/test/sim/check"
)

// initRequest is the init of a named client at a frontend.
type initRequest struct {
	core    *producerinit.Core
	name    *Name
	expires time.Time
	answer  func(producerinit.Result)
}

// Name is a name in the registry of producers. The registry never fails here, because the
// simulation is about the protocol between frontends and replicators.
type Name struct {
	name   string
	id     int64
	record producername.Record
}

// NewName returns a name that the registry does not know. It will give it an id.
func NewName(name string, id int64) *Name { return &Name{name: name, id: id} }

// ask answers a question of an init.
func (n *Name) ask(what any) producerinit.Event {
	var err *protocol.Error
	next := n.record
	switch what := what.(type) {
	case producerinit.Next:
		next, _, err = n.record.Next(n.name, what.Instance, n.id)
	case producerinit.Surpass:
		next, err = n.record.Surpass(what.Fence, what.Epoch, n.id)
	case producerinit.Remember:
		n.record, _ = n.record.Remember(what.Topics)
		return producerinit.Remembered{}
	}
	if err != nil {
		return producerinit.Failed{Err: err}
	}
	n.record = next
	return producerinit.Identified{Fence: next.Fence(), Seen: slices.Clone(next.Topics)}
}

// InitProducer starts the init of an instance of a named client at a frontend. identified is
// called with the sequence at which the instance continues, unless the init fails or a later one
// was started meanwhile.
func (w *World) InitProducer(p *Process, i *Instance, identified func(first int32)) {
	topic := w.topicOf(w.Partitions[w.Clients[i.Client].Partition])
	name := w.Clients[i.Client].Name
	i.inits++
	attempt := i.inits
	r := &initRequest{
		name:    name,
		expires: w.Clock(p).Add(w.Times.Deadline + time.Second), // as in the API of producers
		answer: func(r producerinit.Result) {
			if !i.Dead && i.Window == nil && attempt == i.inits { // the client waits for this answer
				w.identified(i, r, identified)
			}
		},
		core: producerinit.New(producerinit.Request{
			Name: name.name, Instance: i.String(), Topics: []protocol.Topic{topic}, Asker: p.Epoch, Heartbeat: w.Times.Heartbeat,
		}),
	}
	p.inits = append(p.inits, r)
	w.stepInit(p, r)
}

// identified handles the answer to an init.
func (w *World) identified(i *Instance, r producerinit.Result, identified func(int32)) {
	if r.Err != nil {
		switch protocol.AsError(r.Err).Code {
		case protocol.CodeTooManyProducers, protocol.CodeUnavailable:
			return // another init follows: some producers may be forgotten by then
		}
		w.Violated("fencing: %s: init is answered with %v", i, r.Err)
		return
	}
	c := w.Clients[i.Client]
	position := r.Response.Positions[w.Partitions[c.Partition].ID.Number]
	i.ID, i.Epoch = r.Response.ProducerID, r.Response.ProducerEpoch
	first, before := c.Start, 0
	if position.LastSequence != nil {
		first = protocol.AddSequence(*position.LastSequence, 1)
		before = int(protocol.AddSequence(first, -int64(c.Start)))
	}
	w.See(c.Partition, check.Identified{Instance: i.String(), Client: c.Number, Records: before, Expired: position.Expired})
	identified(first)
}

// tickInits lets all inits of a frontend notice the time.
func (w *World) tickInits(p *Process) {
	for _, r := range slices.Clone(p.inits) {
		if !w.Clock(p).Before(r.expires) {
			w.stepInit(p, r, producerinit.Canceled{Cause: context.DeadlineExceeded})
		} else {
			w.stepInit(p, r)
		}
	}
}

// stepInits lets all inits of a frontend take an event.
func (w *World) stepInits(p *Process, e producerinit.Event) {
	for _, r := range slices.Clone(p.inits) {
		w.stepInit(p, r, e)
	}
}

func (w *World) stepInit(p *Process, r *initRequest, events ...producerinit.Event) {
	for {
		fx := r.core.Step(w.Clock(p), events)
		for _, e := range fx.Send {
			w.send(p, Envelope{e.Subject, &Message{Data: messages.Encode(e.Message)}})
		}
		if fx.Done != nil {
			p.inits = slices.DeleteFunc(p.inits, func(o *initRequest) bool { return o == r })
			r.answer(*fx.Done)
			return
		}
		if fx.Registry == nil {
			return
		}
		events = []producerinit.Event{r.name.ask(fx.Registry)}
	}
}
