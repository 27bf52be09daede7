package client

import (
	"context"
	"sync"
	"time"

	"laneway.dev/pkg/protocol"
)

const (
	// lookupPause is the least time between two questions of a producer after its topic.
	lookupPause   = 2 * time.Second
	lookupTimeout = 5 * time.Second
)

// lookup asks whether the topic of a producer is still there, beside the sender
// and one question at a time. It belongs to the sender's goroutine.
type lookup struct {
	client  *Client
	topic   protocol.Topic
	target  int // for which it was asked
	asked   time.Time
	pending bool
	answers chan *protocol.Error // nil is that nothing is known against it
	stop    context.CancelFunc
	running sync.WaitGroup
}

func newLookup(c *Client, topic protocol.Topic) *lookup {
	return &lookup{client: c, topic: topic, answers: make(chan *protocol.Error, 1), stop: func() {}}
}

// ask asks, unless it is asked already or was a short time ago.
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

// answered is to be called with each answer taken.
func (l *lookup) answered() { l.pending = false }

// gone returns an error if the topic is not there any more.
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

// end ends the question, if there is one; then no goroutine is left.
func (l *lookup) end() {
	l.stop()
	l.running.Wait()
}
