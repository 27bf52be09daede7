package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

const (
	// startTimeout bounds how long a producer or a consumer tries to start if its
	// context has no deadline. attemptTimeout bounds each request of it.
	startTimeout   = 10 * time.Second
	attemptTimeout = 5 * time.Second

	// retryPause is the first pause before a request is sent again. Each further
	// pause is twice as long, up to retryPauseMax.
	retryPause    = 50 * time.Millisecond
	retryPauseMax = 2 * time.Second
)

// find returns a topic. It waits for a frontend to answer, as insist does.
func (c *Client) find(ctx context.Context, name string) (topic protocol.Topic, err error) {
	err = c.insist(ctx, func(ctx context.Context) error {
		topic, _, err = c.Admin().TopicInfo(ctx, name)
		return err
	})
	return topic, err
}

// insist repeats a request until it succeeds, fails with a final error, or runs out
// of time. Programs and Laneway are often started together, so a client must not
// fail because it started a second earlier.
//
// If the end of the context interrupts an attempt, the error of that attempt does
// not name the cause. insist then returns the error of the attempt before.
func (c *Client) insist(ctx context.Context, request func(context.Context) error) error {
	return c.repeat(ctx, startTimeout, attemptTimeout, request)
}

// repeat is insist with a timeout, which applies if the context has no deadline, and one for each attempt.
func (c *Client) repeat(ctx context.Context, timeout, attemptTimeout time.Duration, request func(context.Context) error) error {
	bounded, cancel := within(ctx, timeout)
	defer cancel()
	var before error
	for pause := retryPause; ; pause = min(2*pause, retryPauseMax) {
		attempt, cancel := context.WithTimeout(bounded, attemptTimeout)
		err := request(attempt)
		cancel()
		if over := bounded.Err(); over != nil && before != nil && errors.Is(err, over) {
			return outOfTime(ctx, before)
		}
		if err == nil || !temporary(err) {
			return err
		}
		before = err
		// Half of the pause is random, so that clients do not retry at the same time.
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

// outOfTime returns the error of a start whose last attempt failed with err. It
// names the end of the caller's context, but not that of startTimeout, which the
// caller does not know.
func outOfTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", err, ctx.Err())
	}
	return err
}

// temporary reports whether a request that failed with err may succeed later.
func temporary(err error) bool {
	if known, ok := errors.AsType[*protocol.Error](err); ok {
		return known.Retryable()
	}
	return unsent(err) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded)
}

const (
	// lookupPause is the shortest time between two lookups of a producer's topic.
	lookupPause   = 2 * time.Second
	lookupTimeout = 5 * time.Second
)

// lookup checks whether the topic of a producer still exists. If batches have no
// receiver, either the frontend is restarting, which is temporary, or the topic was
// deleted, which is final; the producer cannot distinguish the two. A topic that was
// created again under the same name has another id, and its partitions do not know
// the producer.
//
// Each lookup runs in its own goroutine, one at a time. Everything else belongs to
// the sender's goroutine.
type lookup struct {
	client  *Client
	topic   protocol.Topic
	target  int // of the batch without a receiver
	asked   time.Time
	pending bool
	answers chan *protocol.Error // nil: the topic exists, or its state is not known
	stop    context.CancelFunc
	running sync.WaitGroup
}

func newLookup(c *Client, topic protocol.Topic) *lookup {
	return &lookup{client: c, topic: topic, answers: make(chan *protocol.Error, 1), stop: func() {}}
}

// ask starts a lookup, unless one is running or the last one was a short time ago.
func (l *lookup) ask(now time.Time, target int) {
	if l.pending || !l.asked.IsZero() && now.Sub(l.asked) < lookupPause {
		return
	}
	l.pending, l.asked, l.target = true, now, target
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	l.stop = cancel
	l.running.Go(func() {
		defer cancel()
		l.answers <- l.gone(ctx)
	})
}

// answered must be called for each answer that was received.
func (l *lookup) answered() { l.pending = false }

// gone returns an error if the topic is known to exist no more.
func (l *lookup) gone(ctx context.Context) *protocol.Error {
	topic, _, err := l.client.Admin().TopicInfo(ctx, l.topic.Name)
	switch {
	case err == nil && topic.ID != l.topic.ID:
		return protocol.Errorf(protocol.CodeUnknownTopic, "%s was deleted and made again", l.topic.Name)
	case err != nil && protocol.AsError(err).Code == protocol.CodeUnknownTopic:
		return protocol.Errorf(protocol.CodeUnknownTopic, "%s was deleted", l.topic.Name)
	}
	return nil
}

// end stops a running lookup and waits for its goroutine.
func (l *lookup) end() {
	l.stop()
	l.running.Wait()
}
