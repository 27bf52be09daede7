package producers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"laneway.dev/internal/producerregistry"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
	"laneway.dev/services/frontend/core/producerinit"
)

// initProducer gives a producer its identity.
func (a *API) initProducer(ctx context.Context, data []byte) (any, error) {
	var request protocol.ProducerInitRequest
	if err := api.Decode(data, &request); err != nil {
		return nil, err
	}
	if err := producerinit.Check(&request); err != nil {
		return nil, err
	}
	if request.Name == "" {
		return protocol.ProducerInitResponse{ProducerID: producerregistry.New()}, nil
	}
	topics, err := a.topicsOf(ctx, request.Topics)
	if err != nil {
		return nil, err
	}
	result := a.initNamed(ctx, producerinit.Request{
		Name: request.Name, Instance: request.Instance, Topics: topics, Asker: a.config.Asker, Heartbeat: a.config.Heartbeat,
	})
	return result.Response, result.Err
}

// topicsOf returns the topics with the given names, without duplicates.
func (a *API) topicsOf(ctx context.Context, names []string) ([]protocol.Topic, error) {
	var topics []protocol.Topic
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		topic, err := a.config.Topics.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		topics = append(topics, topic)
	}
	return topics, nil
}

// initNamed runs the core of one init of a named producer. Requests of the core to the
// registry are answered within a turn. Questions to replicators end the turn, and their
// answers arrive in later ones.
func (a *API) initNamed(ctx context.Context, request producerinit.Request) (result producerinit.Result) {
	core := producerinit.New(request)
	a.converse(ctx, func(now time.Time, arrived []any) (send []messages.Envelope, done bool) {
		events := make([]producerinit.Event, 0, len(arrived))
		for _, e := range arrived {
			if c, is := e.(canceled); is {
				e = producerinit.Canceled{Cause: c.cause}
			}
			events = append(events, e)
		}
		for {
			fx := core.Step(now, events)
			send = append(send, fx.Send...)
			if fx.Done != nil {
				result = *fx.Done
				return send, true
			}
			if fx.Registry == nil {
				return send, false
			}
			events, now = []producerinit.Event{a.register(ctx, fx.Registry)}, time.Now()
		}
	})
	return result
}

// register executes a request of the core to the registry, and returns its result.
func (a *API) register(ctx context.Context, what any) producerinit.Event {
	var identity producerregistry.Identity
	var err error
	switch what := what.(type) {
	case producerinit.Next:
		identity, err = a.config.Registry.Next(ctx, what.Name, what.Instance)
	case producerinit.Surpass:
		identity, err = a.config.Registry.Surpass(ctx, producerregistry.Identity{ProducerFence: what.Fence}, what.Epoch)
	case producerinit.Remember:
		named := producerregistry.Identity{ProducerFence: messages.ProducerFence{Name: what.Name}}
		if err = a.config.Registry.Remember(ctx, named, what.Topics); err == nil {
			return producerinit.Remembered{}
		}
	default:
		err = fmt.Errorf("unknown request to the registry of producers: %T", what)
	}
	if err != nil {
		return producerinit.Failed{Err: err}
	}
	return producerinit.Identified{Fence: identity.ProducerFence, Seen: identity.Seen}
}
