// Package producerinit decides how a named producer gets its identity.
//
// The registry gives each instance of the producer the next producer epoch. Before the
// instance learns its epoch, a fence with it is in the log of every partition of its
// topics. So no batch of an earlier instance can be committed behind the position that the
// new one continues from:
//
//	registry: next epoch ──▶ replicators: fence every partition ──▶ registry: remember the topics ──▶ answer
//	                ▲                       │
//	                └── a higher epoch is known there
//
// A partition that knows the name by another id fences that id for good, and returns where
// it ended.
package producerinit

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/ask"
)

// Event is something that happened: what the registry returned for Effects.Registry, a
// messages.ProducerFenced, a messages.ReadOnly of any partition, or Canceled.
type Event any

// What the registry returns.
type (
	// Identified has the fence of the new instance, and the ids of the topics on which
	// earlier instances were fenced.
	Identified struct {
		Fence messages.ProducerFence
		Seen  []uint64
	}
	// Remembered says that the topics are stored.
	Remembered struct{}
	// Failed says that the registry did not do what it was asked for.
	Failed struct{ Err error }
)

// Canceled says that the request ends, such as by a timeout.
type Canceled struct{ Cause error }

// What the registry is asked for.
type (
	// Next asks for the identity of the next instance of a name.
	Next struct{ Name, Instance string }
	// Surpass asks for an epoch above one that a partition knows although no init gave it.
	Surpass struct {
		Fence messages.ProducerFence
		Epoch int16
	}
	// Remember asks to store on which topics the producer is fenced.
	Remember struct {
		Name   string
		Topics []uint64
	}
)

// Effects is what a step wants done.
type Effects struct {
	Send     []messages.Envelope
	Registry any     // Next, Surpass, Remember or nil; the shell MUST report what comes of it
	Done     *Result // not nil: the request is to be answered with it, and the core has ended
}

// Result answers the request.
type Result struct {
	Response protocol.ProducerInitResponse
	Err      error
}

// Request is the init of a named producer.
type Request struct {
	Name, Instance string
	Topics         []protocol.Topic // each once
	Epoch          uint64           // of the frontend, where replicators answer
	Heartbeat      time.Duration    // after which replicators are asked again
}

// Core decides about one request. It is pure, and belongs to one goroutine.
type Core struct {
	request   Request
	started   bool
	identity  Identified
	questions *ask.Questions
	positions []protocol.ProducerPosition // of all partitions, topic by topic
	fx        Effects
}

// New returns a core whose first Step asks for an identity.
func New(request Request) *Core {
	return &Core{request: request, questions: ask.New(request.Heartbeat)}
}

// Step takes what happened, in order, and returns what is to be done. Without events it
// does what is due at that time.
func (c *Core) Step(now time.Time, events []Event) Effects {
	c.fx = Effects{}
	if !c.started {
		c.started = true
		c.fx.Registry = Next{c.request.Name, c.request.Instance}
	}
	for _, e := range events {
		if c.fx.Done == nil {
			c.handle(e)
		}
	}
	if c.fx.Done == nil {
		c.fx.Send = c.questions.Due(now)
	}
	return c.fx
}

func (c *Core) handle(e Event) {
	switch e := e.(type) {
	case Identified:
		c.fence(e)
	case messages.ProducerFenced:
		c.fenced(e)
	case messages.ReadOnly:
		if err := c.questions.Damaged(e); err != nil {
			c.fail(err)
		}
	case Remembered:
		c.fx.Done = &Result{Response: protocol.ProducerInitResponse{
			ProducerID: c.identity.Fence.ProducerID, ProducerEpoch: c.identity.Fence.ProducerEpoch, Positions: c.positions,
		}}
	case Failed:
		c.fail(e.Err)
	case Canceled:
		c.fail(c.questions.Unanswered(e.Cause))
	}
}

// fence asks for a fence in every partition. A topic on which an earlier instance was
// fenced must still know the producer. If it does not, it has forgotten how far the
// producer came, and stays as it is: the next instance has to get the same answer.
func (c *Core) fence(identity Identified) {
	c.identity, c.positions = identity, nil
	c.questions = ask.New(c.request.Heartbeat)
	for _, topic := range c.request.Topics {
		for n := range topic.Partitions {
			p := topic.Partition(n)
			c.positions = append(c.positions, protocol.ProducerPosition{Topic: p.Topic, Partition: p.Number})
			c.questions.Add(messages.FenceProducer{
				Partition: p, Epoch: c.request.Epoch, Fence: identity.Fence, IfKnown: slices.Contains(identity.Seen, p.TopicID),
			})
		}
	}
}

// fenced handles the answer of a partition. One to an earlier epoch of this request, or to
// another request, is ignored.
func (c *Core) fenced(m messages.ProducerFenced) {
	fence := c.identity.Fence
	if m.Producer.ProducerID != fence.ProducerID || m.Fence != fence.ProducerEpoch || !c.questions.Answered(m.Partition) {
		return
	}
	position := &c.positions[slices.IndexFunc(c.positions, func(p protocol.ProducerPosition) bool {
		return p.Topic == m.Partition.Topic && p.Partition == m.Partition.Number
	})]
	switch m.Code {
	case protocol.CodeOK:
		if m.Producer.HasLast {
			position.LastSequence = &m.Producer.Last
		}
	case protocol.CodePositionExpired:
		position.Expired = true
	case protocol.CodeInvalidEpoch:
		c.questions = ask.New(c.request.Heartbeat)
		c.fx.Registry = Surpass{fence, m.Producer.ProducerEpoch}
		return
	default:
		c.fail(protocol.Errorf(m.Code, "partition %s, producer %q", m.Partition, c.request.Name))
		return
	}
	if c.questions.Open() == 0 {
		c.remember()
	}
}

// remember stores the topics only now, because a topic that is remembered must know the
// producer, or have forgotten it.
func (c *Core) remember() {
	ids := make([]uint64, len(c.request.Topics))
	for i := range c.request.Topics {
		ids[i] = c.request.Topics[i].ID
	}
	c.fx.Registry = Remember{c.request.Name, ids}
}

func (c *Core) fail(err error) { c.fx = Effects{Done: &Result{Err: err}} }

// Check returns what is wrong with a request, or nil.
func Check(request *protocol.ProducerInitRequest) error {
	switch {
	case request.Name == "" && len(request.Topics) > 0:
		return protocol.NewError(protocol.CodeInvalidRequest, "topics are for a producer with a name: a new id has nothing in them")
	case request.Name == "":
		return nil
	case len(request.Topics) == 0:
		return protocol.NewError(protocol.CodeInvalidRequest, "a producer with a name must name its topics: elsewhere nothing is fenced")
	case len(request.Topics) > protocol.MaxInitTopics:
		return protocol.Errorf(protocol.CodeInvalidRequest, "%d topics, allowed are %d", len(request.Topics), protocol.MaxInitTopics)
	case len(request.Instance) > protocol.MaxInstance:
		return protocol.Errorf(protocol.CodeInvalidRequest, "the instance has %d bytes, allowed are %d", len(request.Instance), protocol.MaxInstance)
	}
	return protocol.CheckProducerName(request.Name)
}
