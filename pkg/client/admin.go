package client

import (
	"context"

	"laneway.dev/pkg/messages"
)

// Admin administers topics and shows producers. It is safe for concurrent use.
// A request whose context has no deadline takes 15 seconds at most.
type Admin struct{ client *Client }

// Admin returns the administration of the deployment.
func (c *Client) Admin() *Admin { return &Admin{c} }

// CreateTopic creates a topic and returns when it can be produced to. What the
// configuration leaves out gets its default.
func (a *Admin) CreateTopic(ctx context.Context, config messages.TopicConfig) (messages.Topic, error) {
	topic, _, err := a.topic(ctx, "create", config)
	return topic, err
}

// ListTopics returns all topics.
func (a *Admin) ListTopics(ctx context.Context) ([]messages.Topic, error) {
	var response messages.TopicListResponse
	if err := a.client.call(ctx, messages.TopicAPI+"list", struct{}{}, &response); err != nil {
		return nil, err
	}
	return response.Topics, nil
}

// TopicInfo returns a topic and the state of its partitions.
func (a *Admin) TopicInfo(ctx context.Context, name string) (messages.Topic, []messages.PartitionInfo, error) {
	return a.topic(ctx, "info", messages.TopicRequest{Name: name})
}

// DeleteTopic deletes a topic and its records.
func (a *Admin) DeleteTopic(ctx context.Context, name string) error {
	return a.client.call(ctx, messages.TopicAPI+"delete", messages.TopicRequest{Name: name}, &messages.TopicResponse{})
}

func (a *Admin) topic(ctx context.Context, action string, request any) (messages.Topic, []messages.PartitionInfo, error) {
	var response messages.TopicResponse
	subject := messages.TopicAPI + action
	if err := a.client.call(ctx, subject, request, &response); err != nil {
		return messages.Topic{}, nil, err
	}
	if response.Topic == nil {
		return messages.Topic{}, nil, messages.Errorf(messages.CodeInternal, "the answer to %s names no topic", subject)
	}
	return *response.Topic, response.Partitions, nil
}
