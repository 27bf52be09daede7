package world

import (
	"context"
	"slices"
	"time"

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

// Name is what the registry of producers keeps of a name. The registry never fails here: the
// protocol between frontends and replicators is what is simulated.
type Name struct {
	fence     messages.ProducerFence
	instances []string // that have an epoch, the newest last
	topics    []uint64
}

// NewName returns the record of a name that is new to the registry.
func NewName(name string, id int64) *Name {
	return &Name{fence: messages.ProducerFence{ProducerID: id, Name: name}}
}

// ask answers a question of an init.
func (r *Name) ask(what any) producerinit.Event {
	switch what := what.(type) {
	case producerinit.Next:
		switch at := slices.Index(r.instances, what.Instance); {
		case at >= 0 && at < len(r.instances)-1:
			return producerinit.Failed{Err: protocol.NewError(protocol.CodeInvalidEpoch, "a younger instance has asked since")}
		case at >= 0: // it asks again
		default:
			if len(r.instances) > 0 {
				r.fence.ProducerEpoch++
			}
			r.instances = append(r.instances, what.Instance)
		}
	case producerinit.Surpass:
		if what.Fence != r.fence {
			return producerinit.Failed{Err: protocol.NewError(protocol.CodeInvalidEpoch, "a younger instance has asked since")}
		}
		r.fence.ProducerEpoch = max(r.fence.ProducerEpoch, what.Epoch) + 1
	case producerinit.Remember:
		r.topics = what.Topics
		return producerinit.Remembered{}
	}
	return producerinit.Identified{Fence: r.fence, Seen: slices.Clone(r.topics)}
}

// InitProducer starts the init of an instance of a named client at a frontend. identified is
// called with the sequence at which the instance continues, unless the init fails or a later one
// was started meanwhile.
func (w *World) InitProducer(p *Process, i *Instance, identified func(first int32)) {
	topic := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: Partition.Topic, Partitions: 1}, ID: Partition.TopicID}
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
			Name: name.fence.Name, Instance: i.String(), Topics: []protocol.Topic{topic}, Epoch: p.Epoch, Heartbeat: w.Times.Heartbeat,
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
	c, position := w.Clients[i.Client], r.Response.Positions[0]
	i.ID, i.Epoch = r.Response.ProducerID, r.Response.ProducerEpoch
	first, before := c.Start, 0
	if position.LastSequence != nil {
		first = protocol.AddSequence(*position.LastSequence, 1)
		before = int(protocol.AddSequence(first, -int64(c.Start)))
	}
	w.See(check.Identified{Instance: i.String(), Client: c.Number, Records: before, Expired: position.Expired})
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
