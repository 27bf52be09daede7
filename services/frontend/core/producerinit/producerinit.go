// Package producerinit decides how a named producer gets its identity.
//
// The registry gives each instance of the producer the next producer epoch. Before the
// instance receives its epoch, every partition of its topics has a fence with that epoch in
// its log. So no batch of an earlier instance can be committed after the position at which
// the new one continues:
//
//	registry: next epoch ──▶ replicators: fence every partition ──▶ registry: remember the topics ──▶ answer
//	                ▲                       │
//	                └── a partition has a higher epoch
//
// A partition that knows the name with another id retires that id, and returns the last
// sequence that it had.
//
// Example: instance "host-1" of producer "billing" has epoch 4 and is suspended. Instance
// "host-2" calls init on topic orders with two partitions. The registry returns epoch 5, and
// both replicators append a fence with it. They answer that the last sequences are 41 and
// 17, and host-2 continues at 42 and 18. When host-1 resumes, its batches have epoch 4 and
// are rejected.
package producerinit

import (
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/ask"
)

// Event is an input of a Core: the result of Effects.Registry, a messages.ProducerFenced, a
// messages.ReadOnly of any partition, or Canceled.
type Event any

// Results of the registry.
type (
	// Identified has the fence of the new instance, and the ids of the topics on which
	// earlier instances were fenced.
	Identified struct {
		Fence messages.ProducerFence
		Seen  []uint64
	}
	// Remembered reports that the topics are stored.
	Remembered struct{}
	// Failed reports that the request to the registry has failed.
	Failed struct{ Err error }
)

// Canceled reports that the request ends without an answer, for example by a timeout.
type Canceled struct{ Cause error }

// Requests to the registry.
type (
	// Next asks for the identity of the next instance of a name.
	Next struct{ Name, Instance string }
	// Surpass asks for an epoch above the one that a partition has. No init has assigned that
	// one: the partition accepted it with a batch while it did not know the producer.
	Surpass struct {
		Fence messages.ProducerFence
		Epoch int16
	}
	// Remember asks the registry to store on which topics the producer is fenced.
	Remember struct {
		Name   string
		Topics []uint64
	}
)

// Effects is what a step asks the shell to do.
type Effects struct {
	Send     []messages.Envelope
	Registry any     // Next, Surpass, Remember or nil; the shell MUST report its result
	Done     *Result // the answer to the request, when the core has ended; else nil
}

// Result is the answer to the request.
type Result struct {
	Response protocol.ProducerInitResponse
	Err      error
}

// Request is the init of a named producer.
type Request struct {
	Name, Instance string
	Topics         []protocol.Topic // each once
	Asker          uint64           // replicators answer to its subject
	Heartbeat      time.Duration    // questions to replicators are repeated after it
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

// Step handles events in their order and returns the effects. The shell MUST call it at
// least once per Heartbeat, without events if there are none.
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

// fence requests a fence from every partition. If an earlier instance was fenced on the
// topic, its partitions must still know the producer (IfKnown). A partition that has evicted
// the producer has lost its position, and answers that it has expired. This partition appends
// no fence, so that the next instance gets the same answer.
func (c *Core) fence(identity Identified) {
	c.identity, c.positions = identity, nil
	c.questions = ask.New(c.request.Heartbeat)
	for _, topic := range c.request.Topics {
		for n := range topic.Partitions {
			p := topic.Partition(n)
			c.positions = append(c.positions, protocol.ProducerPosition{Topic: p.Topic, Partition: p.Number})
			c.questions.Add(messages.FenceProducer{
				Partition: p, Asker: c.request.Asker, Fence: identity.Fence, IfKnown: slices.Contains(identity.Seen, p.TopicID),
			})
		}
	}
}

// fenced handles the answer of a partition. Answers to other requests, or to an earlier epoch
// of this one, are ignored.
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

// remember stores the topics. This MUST NOT happen before every partition has a fence: if the
// request ended in between, the next one would take partitions that never had a fence for
// partitions that have evicted the producer.
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
		return protocol.NewError(protocol.CodeInvalidRequest, "topics are allowed only for a producer with a name; a new id has no position in them")
	case request.Name == "":
		return nil
	case len(request.Topics) == 0:
		return protocol.NewError(protocol.CodeInvalidRequest, "a producer with a name must list its topics; earlier instances are fenced only on those")
	case len(request.Topics) > protocol.MaxInitTopics:
		return protocol.Errorf(protocol.CodeInvalidRequest, "%d topics, allowed are %d", len(request.Topics), protocol.MaxInitTopics)
	case len(request.Instance) > protocol.MaxInstance:
		return protocol.Errorf(protocol.CodeInvalidRequest, "the instance has %d bytes, allowed are %d", len(request.Instance), protocol.MaxInstance)
	}
	return protocol.CheckProducerName(request.Name)
}
