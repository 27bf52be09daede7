package sim

import (
	"context"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core/producerinit"
)

// initTimeout bounds one init, as the API of producers does.
const initTimeout = deadline + time.Second

// initRequest is the init of a named client at a frontend.
type initRequest struct {
	core     *producerinit.Core
	registry *nameRecord
	expires  time.Time
	answer   func(producerinit.Result)
}

// nameRecord is what the registry of producers keeps of a name. It never fails here: the
// protocol between frontends and replicators is what is simulated.
type nameRecord struct {
	fence     messages.ProducerFence
	instances []string // that have an epoch, the newest last
	topics    []uint64
}

// ask answers a question of an init.
func (r *nameRecord) ask(what any) producerinit.Event {
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

// init starts the init of an instance of a client.
func (s *frontendService) init(registry *nameRecord, instance string, answer func(producerinit.Result)) {
	topic := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: partition.Topic, Partitions: 1}, ID: partition.TopicID}
	r := &initRequest{registry: registry, expires: s.p.now().Add(initTimeout), answer: answer, core: producerinit.New(producerinit.Request{
		Name: registry.fence.Name, Instance: instance, Topics: []protocol.Topic{topic}, Epoch: s.epoch, Heartbeat: heartbeat,
	})}
	s.inits = append(s.inits, r)
	s.stepInit(r)
}

// stepInits lets all inits take some events, or notice the time.
func (s *frontendService) stepInits(events ...producerinit.Event) {
	for _, r := range slices.Clone(s.inits) {
		if !s.p.now().Before(r.expires) {
			s.stepInit(r, producerinit.Canceled{Cause: context.DeadlineExceeded})
			continue
		}
		s.stepInit(r, events...)
	}
}

func (s *frontendService) stepInit(r *initRequest, events ...producerinit.Event) {
	for {
		fx := r.core.Step(s.p.now(), events)
		s.p.send(fx.Send)
		if fx.Done != nil {
			s.inits = slices.DeleteFunc(s.inits, func(o *initRequest) bool { return o == r })
			r.answer(*fx.Done)
			return
		}
		if fx.Registry == nil {
			return
		}
		events = []producerinit.Event{r.registry.ask(fx.Registry)}
	}
}
