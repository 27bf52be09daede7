package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
)

// apiTimeout bounds a request of the topic API whose context has no deadline.
const apiTimeout = 15 * time.Second

// CreateTopic creates a topic and returns when it can be produced to.
func (c *Client) CreateTopic(ctx context.Context, config messages.TopicConfig) (messages.Topic, error) {
	topic, _, err := c.topic(ctx, "create", config)
	return topic, err
}

// ListTopics returns all topics.
func (c *Client) ListTopics(ctx context.Context) ([]messages.Topic, error) {
	var response messages.TopicListResponse
	if err := c.call(ctx, "list", struct{}{}, &response); err != nil {
		return nil, err
	}
	return response.Topics, nil
}

// TopicInfo returns a topic and the state of its partitions.
func (c *Client) TopicInfo(ctx context.Context, name string) (messages.Topic, []messages.PartitionInfo, error) {
	return c.topic(ctx, "info", messages.TopicRequest{Name: name})
}

// DeleteTopic deletes a topic and its records.
func (c *Client) DeleteTopic(ctx context.Context, name string) error {
	return c.call(ctx, "delete", messages.TopicRequest{Name: name}, &messages.TopicResponse{})
}

func (c *Client) topic(ctx context.Context, action string, request any) (messages.Topic, []messages.PartitionInfo, error) {
	var response messages.TopicResponse
	if err := c.call(ctx, action, request, &response); err != nil {
		return messages.Topic{}, nil, err
	}
	if response.Topic == nil {
		return messages.Topic{}, nil, messages.Errorf(messages.CodeInternal, "the answer to %s%s names no topic", messages.TopicAPI, action)
	}
	return *response.Topic, response.Partitions, nil
}

// call sends a request of the topic API and decodes the answer.
func (c *Client) call(ctx context.Context, action string, request, response any) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, apiTimeout)
		defer cancel()
	}
	subject := messages.TopicAPI + action
	data, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	answer, err := c.conn.RequestWithContext(ctx, subject, data)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("nobody serves the topic API: is Laneway running, and does it use this NATS server? %w", err)
	case err != nil:
		return fmt.Errorf("%s: %w", subject, err)
	}
	var failure messages.ErrorResponse
	if err := json.Unmarshal(answer.Data, &failure); err != nil {
		return messages.Errorf(messages.CodeInternal, "the answer to %s is not JSON: %v", subject, err)
	}
	if failure.Error != nil {
		return failure.Error
	}
	if err := json.Unmarshal(answer.Data, response); err != nil {
		return messages.Errorf(messages.CodeInternal, "the answer to %s has another shape: %v", subject, err)
	}
	return nil
}
