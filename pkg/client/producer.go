package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"laneway.dev/pkg/protocol"
)

// Producer sends records to a topic, each exactly once: what may have been lost
// is sent again, and Laneway recognises it. It is safe for concurrent use. Close
// must be called.
//
// It fails for good when a batch fails, because what comes after a batch must not
// overtake it; see ProduceError. Overload, and services or connections that are
// gone for a while, are no failure before the delivery timeout.
//
// What is published belongs to the buffer, what is in flight to the sender's
// goroutine.
type Producer struct {
	client   *Client
	topic    protocol.Topic
	targets  []protocol.Partition
	options  ProducerOptions
	identity identity
	payload  int // bytes that a frame may have
	buffer   *buffer

	stop    chan struct{} // closed when the sender is to end
	done    chan struct{} // closed when it has ended
	once    sync.Once     // Close
	closing chan struct{} // closed when it is known how Close ends
	closed  error         // of Close
}

// Producer returns a producer for a topic, which must exist. While nobody answers
// it tries again until ctx ends, or for 10 seconds if ctx has no deadline. If a
// partition has forgotten how far a named producer came, the error is
// POSITION_EXPIRED.
func (c *Client) Producer(ctx context.Context, topic string, options ProducerOptions) (*Producer, error) {
	p, err := c.newProducer(ctx, topic, options.complete())
	if err == nil {
		err = p.start()
	}
	if err != nil {
		return nil, fmt.Errorf("produce to %s: %w", topic, err)
	}
	return p, nil
}

func (c *Client) newProducer(ctx context.Context, name string, options ProducerOptions) (*Producer, error) {
	topic, err := c.find(ctx, name)
	if err != nil {
		return nil, err
	}
	targets, err := options.targets(topic)
	if err != nil {
		return nil, err
	}
	if expiry := topic.ProducerExpiry(); options.DeliveryTimeout >= expiry && expiry > 0 {
		return nil, protocol.Errorf(protocol.CodeInvalidRequest,
			"a delivery timeout of %s: %s forgets a producer after %s, and would take its retry for a new batch",
			options.DeliveryTimeout, topic.Name, expiry)
	}
	who, err := c.identify(ctx, options.Name, topic, targets)
	if err != nil {
		return nil, err
	}
	payload := int(c.conn.MaxPayload()) - protocol.EnvelopeRoom
	return &Producer{
		client: c, topic: topic, targets: targets, options: options, identity: who, payload: payload,
		buffer: &buffer{
			options: options, frame: min(options.BatchBytes, payload),
			work: make(chan struct{}, 1), queues: make([]queue, len(targets)),
		},
		stop: make(chan struct{}), done: make(chan struct{}), closing: make(chan struct{}),
	}, nil
}

// Topic returns the topic as it was when the producer was made.
func (p *Producer) Topic() protocol.Topic { return p.topic }

// NextSequence returns how far the producer had come in a partition when it was
// made: the sequence of the record that is the first one to be published there.
// Sequences count the records of a producer in a partition, from 0, and go on at 0
// after 2^31-1. A named producer that publishes the same source to one partition
// goes on at that record of it; one without a name begins at 0. Of a partition
// that the producer does not send to, because ProducerOptions.Partition is another
// one or the topic has none of the number, nothing is known and it is 0.
func (p *Producer) NextSequence(partition int32) int32 {
	for i, target := range p.targets {
		if target.Number == partition {
			return p.identity.next[i]
		}
	}
	return 0
}

// Flush lets nothing linger that was published before, and returns when all of it
// is in the log. The error is that of ctx, or that of Err.
func (p *Producer) Flush(ctx context.Context) error {
	for _, b := range p.buffer.flush() {
		select {
		case <-b.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if b.err != nil {
			return b.err
		}
	}
	return p.buffer.why()
}

// Close takes no more records, waits for what is taken, and ends the producer; no
// goroutine is left, unless NATS takes nothing from it. If ctx ends first, what is
// not acked by then may or may not be in the log. The error says why not everything
// is; a further Close returns it again.
func (p *Producer) Close(ctx context.Context) error {
	first := false
	p.once.Do(func() { first = true })
	if first {
		p.close(ctx)
	}
	select {
	case <-p.closing:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errUnacked, ctx.Err())
	}
	p.ended(ctx)
	return p.closed
}

// close is the first Close.
func (p *Producer) close(ctx context.Context) {
	p.buffer.shut()
	err := p.Flush(ctx)
	switch {
	case err == ErrClosed: //nolint:errorlint // exactly this one says that all went well
	case err == ctx.Err() && err != nil: //nolint:errorlint // as Flush returns it
		p.closed = fmt.Errorf("%w: %w", errUnacked, err)
	default:
		p.closed = err
	}
	close(p.stop)
	close(p.closing)
}

// endTime is how long the sender is waited for that was told to end, also when the
// context is over.
const endTime = time.Second

// ended waits until the sender has ended, which it does at once unless it is held up
// in a write.
func (p *Producer) ended(ctx context.Context) {
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	timer := time.NewTimer(endTime)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	}
}

// Err returns why the producer takes no more records: a *ProduceError, or
// ErrClosed. It is nil while it does.
func (p *Producer) Err() error { return p.buffer.why() }

// Summary returns what was done so far.
func (p *Producer) Summary() Summary { return p.buffer.summary() }
