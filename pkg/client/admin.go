package client

import (
	"context"

	"laneway.dev/pkg/protocol"
)

// Admin administers topics and shows producers. It is safe for concurrent use.
// A request whose context has no deadline takes 15 seconds at most.
type Admin struct{ client *Client }

// Admin returns the administration of the deployment.
func (c *Client) Admin() *Admin { return &Admin{c} }

// CreateTopic creates a topic and returns when it can be produced to. What the
// configuration leaves out gets its default.
func (a *Admin) CreateTopic(ctx context.Context, config protocol.TopicConfig) (protocol.Topic, error) {
	response, err := a.topic(ctx, "create", config)
	if err != nil {
		return protocol.Topic{}, err
	}
	return *response.Topic, nil
}

// ListTopics returns all topics.
func (a *Admin) ListTopics(ctx context.Context) ([]protocol.Topic, error) {
	response, err := a.TopicList(ctx)
	return response.Topics, err
}

// TopicList returns all topics, with warnings about those that cannot be listed.
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

// DescribeTopic returns a topic and the state of its partitions, with warnings about what
// endangers it.
func (a *Admin) DescribeTopic(ctx context.Context, name string) (protocol.TopicResponse, error) {
	return a.topic(ctx, "info", protocol.TopicRequest{Name: name})
}

// DeleteTopic deletes a topic and its records.
func (a *Admin) DeleteTopic(ctx context.Context, name string) error {
	return a.client.call(ctx, protocol.TopicAPI+"delete", protocol.TopicRequest{Name: name}, &protocol.TopicResponse{})
}

func (a *Admin) topic(ctx context.Context, action string, request any) (protocol.TopicResponse, error) {
	var response protocol.TopicResponse
	subject := protocol.TopicAPI + action
	err := a.client.call(ctx, subject, request, &response)
	if err == nil && response.Topic == nil {
		err = protocol.Errorf(protocol.CodeInternal, "the answer to %s names no topic", subject)
	}
	return response, err
}
