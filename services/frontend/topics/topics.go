// Package topics serves the API of topics. It also watches for two problems with causes
// outside Laneway: metadata that was lost or restored from an old copy, and JetStream streams
// on Laneway's subjects, which acknowledge the same messages a second time.
package topics

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/history"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

// Config is what an API needs.
type Config struct {
	Conn     *nats.Conn
	JS       jetstream.JetStream
	Server   *api.Server
	Registry *topics.Registry
	Watch    *Watch
	Ready    func(context.Context, protocol.Partition) error // returns when a partition admits requests
	// Updated returns when a revision of its topic is in force in a partition.
	Updated func(context.Context, protocol.Partition, uint64) error
	Damage  func() map[protocol.Partition]messages.ReadOnly // of the read-only partitions
	// Segments returns the size of the history of a partition.
	Segments func(context.Context, protocol.Partition, messages.History) (history.Size, error)
}

// API answers requests about topics. It is safe for concurrent use.
type API struct{ config Config }

// requestsAtOnce is how many requests of a kind are served at the same time. Others wait. Creations wait for
// syncs most of the time, and share those of their logs.
const requestsAtOnce = 32

// Serve serves the API until its server stops.
func Serve(config Config) error {
	a := &API{config}
	for name, handle := range map[string]api.Handler{
		"create": a.createTopic, "update": a.updateTopic, "list": a.listTopics, "info": a.topicInfo, "delete": a.deleteTopic,
	} {
		slots := make(chan struct{}, requestsAtOnce)
		err := config.Server.Endpoint(protocol.TopicAPI+name, api.Topics, func(m *nats.Msg) {
			slots <- struct{}{}
			config.Server.ServeAside(m, api.Topics, handle, func() { <-slots })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// createTopic creates a topic. It returns when all of its partitions admit requests, so that
// a client can produce at once.
func (a *API) createTopic(ctx context.Context, data []byte) (any, error) {
	var config protocol.TopicConfig
	if err := api.Decode(data, &config); err != nil {
		return nil, err
	}
	config, err := config.FitPayload(a.config.Conn.MaxPayload())
	if err != nil {
		return nil, err
	}
	topic, err := a.config.Registry.Create(ctx, config)
	if err != nil {
		return nil, err
	}
	for n := range topic.Partitions {
		if err := a.config.Ready(ctx, topic.Partition(n)); err != nil {
			return nil, protocol.Errorf(protocol.CodeUnavailable,
				"topic %s was created, but partition %d is not served yet; is a sequencer running? %v", topic.Name, n, err)
		}
	}
	return protocol.TopicResponse{Topic: &topic}, nil
}

// updateTopic updates a topic. It returns when the update is in force in this frontend.
func (a *API) updateTopic(ctx context.Context, data []byte) (any, error) {
	var request struct {
		protocol.TopicUpdate
		Partitions json.RawMessage `json:"partitions"`
		Replicas   json.RawMessage `json:"replicas"`
	}
	if err := api.Decode(data, &request); err != nil {
		return nil, err
	}
	if request.Partitions != nil || request.Replicas != nil {
		return nil, protocol.NewError(protocol.CodeInvalidRequest,
			"the numbers of partitions and replicas of a topic cannot be changed; create another topic")
	}
	update, err := request.FitPayload(a.config.Conn.MaxPayload())
	if err != nil {
		return nil, err
	}
	before, after, err := a.config.Registry.Update(ctx, update)
	if err != nil {
		return nil, err
	}
	for n := range after.Partitions {
		if err := a.config.Updated(ctx, after.Partition(n), after.Revision); err != nil {
			return nil, protocol.Errorf(protocol.CodeUnavailable,
				"topic %s was updated, but the frontend has not received the update of partition %d yet: %v", after.Name, n, err)
		}
	}
	return protocol.TopicResponse{Topic: &after, Previous: &before}, nil
}

func (a *API) listTopics(ctx context.Context, _ []byte) (any, error) {
	all, err := a.config.Registry.List(ctx)
	if err != nil {
		return nil, err
	}
	response := protocol.TopicListResponse{Topics: all}
	if wrong := a.config.Watch.Survey().Err(); wrong != nil {
		response.Warnings = strings.Split(wrong.Error(), "\n")
	}
	return response, nil
}

func (a *API) deleteTopic(ctx context.Context, data []byte) (any, error) {
	var request protocol.TopicRequest
	if err := api.Decode(data, &request); err != nil {
		return nil, err
	}
	if err := a.config.Registry.Delete(ctx, request.Name); err != nil {
		return nil, err
	}
	return protocol.TopicResponse{}, nil
}
