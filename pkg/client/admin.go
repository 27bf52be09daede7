package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// Admin administers topics and shows producers. It is safe for concurrent use.
//
// A request whose context has no deadline takes at most 15 seconds. Requests are
// not repeated, except by TruncateTopic. If a request fails and the error is not a refusal, it may or may
// not have had an effect.
type Admin struct{ client *Client }

// Admin returns the administration of the deployment.
func (c *Client) Admin() *Admin { return &Admin{c} }

// CreateTopic creates a topic. When it returns nil, the topic accepts records.
// Fields of config that are zero get their defaults, which the returned topic
// shows. If a topic of this name exists, the error is TOPIC_EXISTS.
func (a *Admin) CreateTopic(ctx context.Context, config protocol.TopicConfig) (protocol.Topic, error) {
	response, err := a.topic(ctx, "create", config)
	if err != nil {
		return protocol.Topic{}, err
	}
	return *response.Topic, nil
}

// UpdateTopic changes a topic. Fields of update that are not set keep their values.
// The answer has the topic after the update, and as Previous the one before. When it
// returns nil, the update is in force in the frontend that has answered, and soon
// after in all other services.
func (a *Admin) UpdateTopic(ctx context.Context, update protocol.TopicUpdate) (protocol.TopicResponse, error) {
	return a.topic(ctx, "update", update)
}

// ListTopics returns all topics.
func (a *Admin) ListTopics(ctx context.Context) ([]protocol.Topic, error) {
	response, err := a.TopicList(ctx)
	return response.Topics, err
}

// TopicList returns all topics, and warnings about topics that are missing from the
// list because their record in the registry is lost or cannot be read.
func (a *Admin) TopicList(ctx context.Context) (protocol.TopicListResponse, error) {
	var response protocol.TopicListResponse
	err := a.client.call(ctx, protocol.TopicAPI+"list", struct{}{}, &response)
	return response, err
}

// TopicInfo returns a topic and the state of its partitions.
func (a *Admin) TopicInfo(ctx context.Context, name string) (protocol.Topic, []protocol.PartitionInfo, error) {
	response, err := a.DescribeTopic(ctx, name)
	if err != nil {
		return protocol.Topic{}, nil, err
	}
	return *response.Topic, response.Partitions, nil
}

// DescribeTopic returns a topic and the state of its partitions, and warnings
// about what endangers it, such as another stream that stores the same subjects.
func (a *Admin) DescribeTopic(ctx context.Context, name string) (protocol.TopicResponse, error) {
	return a.topic(ctx, "info", protocol.TopicRequest{Name: name})
}

// DeleteTopic deletes a topic and its records.
func (a *Admin) DeleteTopic(ctx context.Context, name string) error {
	return a.client.call(ctx, protocol.TopicAPI+"delete", protocol.TopicRequest{Name: name}, &protocol.TopicResponse{})
}

// topic makes a request that is answered with a topic.
func (a *Admin) topic(ctx context.Context, action string, request any) (protocol.TopicResponse, error) {
	var response protocol.TopicResponse
	subject := protocol.TopicAPI + action
	err := a.client.call(ctx, subject, request, &response)
	if err == nil && response.Topic == nil {
		err = protocol.Errorf(protocol.CodeInternal, "the answer to %s names no topic", subject)
	}
	return response, err
}

// ListProducers yields the producers that a partition remembers, in the order of
// their ids. It requests them page by page during the iteration. An error ends
// the iteration and is yielded last.
func (a *Admin) ListProducers(ctx context.Context, topic string, partition int32) iter.Seq2[protocol.ProducerInfo, error] {
	return func(yield func(protocol.ProducerInfo, error) bool) {
		request := protocol.ProducerListRequest{Topic: topic, Partition: partition}
		for more := true; more; {
			var response protocol.ProducerListResponse
			if err := a.client.call(ctx, protocol.ProducerAPI+"list", request, &response); err != nil {
				yield(protocol.ProducerInfo{}, err)
				return
			}
			for _, producer := range response.Producers {
				if !yield(producer, nil) {
					return
				}
				request.After = producer.ProducerID
			}
			more = response.More && len(response.Producers) > 0
		}
	}
}

// ProducerInfo returns what the partitions of a topic remember about a producer, one
// item for each partition that remembers it. The request names the producer by its
// id or its name.
func (a *Admin) ProducerInfo(ctx context.Context, request protocol.ProducerInfoRequest) ([]protocol.ProducerInfo, error) {
	var response protocol.ProducerInfoResponse
	if err := a.client.call(ctx, protocol.ProducerAPI+"info", request, &response); err != nil {
		return nil, err
	}
	return response.Producers, nil
}

// apiTimeout bounds a request whose context has no deadline.
const apiTimeout = 15 * time.Second

// call sends a request as JSON and decodes the answer. An error that Laneway
// answers is returned as a *protocol.Error, without further wrapping.
func (c *Client) call(ctx context.Context, subject string, request, response any) error {
	if c.isClosed() {
		return fmt.Errorf("%s: %w", subject, ErrClosed)
	}
	ctx, cancel := within(ctx, apiTimeout)
	defer cancel()
	data, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	answer, err := c.conn.RequestWithContext(ctx, subject, data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("no service answers on %s: is Laneway running, and does it use this NATS server? %w", subject, err)
	case err != nil:
		return fmt.Errorf("%s: %w", subject, c.explain(err))
	}
	var failure protocol.ErrorResponse
	if err := json.Unmarshal(answer.Data, &failure); err != nil {
		return protocol.Errorf(protocol.CodeInternal, "the answer to %s is not JSON: %v", subject, err)
	}
	if failure.Error != nil {
		return failure.Error
	}
	if err := json.Unmarshal(answer.Data, response); err != nil {
		return protocol.Errorf(protocol.CodeInternal, "the answer to %s cannot be decoded: %v", subject, err)
	}
	return nil
}

// within returns ctx, with a timeout if it has no deadline.
func within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}
