package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

const (
	// apiTimeout bounds a request whose context has no deadline.
	apiTimeout = 15 * time.Second
	// startTimeout bounds how long a producer or a consumer tries to start, if its
	// context has no deadline; attemptTimeout bounds each request of it.
	startTimeout   = 10 * time.Second
	attemptTimeout = 5 * time.Second
)

// call sends a request of the API and decodes the answer.
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
		return fmt.Errorf("nobody serves %s: is Laneway running, and does it use this NATS server? %w", subject, err)
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
		return protocol.Errorf(protocol.CodeInternal, "the answer to %s has another shape: %v", subject, err)
	}
	return nil
}

// within bounds a context that has no deadline.
func within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

// insist makes a request of a start until it succeeds, the error is one that
// does not pass, or the time is over. An attempt that is cut short then says
// nothing: what is told is the error of the one before.
func (c *Client) insist(ctx context.Context, request func(context.Context) error) error {
	bounded, cancel := within(ctx, startTimeout)
	defer cancel()
	var before error
	for pause := retryPause; ; pause = min(2*pause, retryPauseMax) {
		attempt, cancel := context.WithTimeout(bounded, attemptTimeout)
		err := request(attempt)
		cancel()
		if over := bounded.Err(); over != nil && before != nil && errors.Is(err, over) {
			return outOfTime(ctx, before)
		}
		if err == nil || !passing(err) {
			return err
		}
		before = err
		// Not all of the pause is random: the first one is short anyway.
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-bounded.Done():
			timer.Stop()
			return outOfTime(ctx, err)
		case <-c.closed:
			timer.Stop()
			return ErrClosed
		}
	}
}

// outOfTime is the error of a start whose last attempt failed with err. If it is not
// its context that ended, but the time it has without, that goes without saying.
func outOfTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// passing says whether an error of a request may not come again.
func passing(err error) bool {
	if known, ok := errors.AsType[*protocol.Error](err); ok {
		return known.Retryable()
	}
	return unsent(err) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded)
}

// find returns a topic, waiting a while for somebody who knows it.
func (c *Client) find(ctx context.Context, name string) (topic protocol.Topic, err error) {
	err = c.insist(ctx, func(ctx context.Context) error {
		topic, _, err = c.Admin().TopicInfo(ctx, name)
		return err
	})
	return topic, err
}
