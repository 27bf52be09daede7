package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"laneway.dev/pkg/protocol"
)

// Producer publishes records to a topic, each exactly once. It is idempotent: it
// sends batches again after overload, restarts and lost connections, and Laneway
// recognizes batches that are in the log already.
//
// Promises:
//
//   - Exactly once: a record that Publish has accepted is in the log at most once,
//     and exactly once if its future is acknowledged.
//   - Order: records of one partition are in the log in the order of Publish.
//     There is no order between partitions.
//   - Durability: see [Future].
//   - Patience: overload, restarts of services and lost connections are no
//     failures. They only take time, up to the delivery timeout of a batch.
//
// Failure: when a batch fails, the whole producer fails for good with a
// [*ProduceError]. A later batch must not overtake the failed one, and only the
// caller can decide what to do about it. A producer with a name also fails, with
// INVALID_PRODUCER_EPOCH, when a newer instance of this name has started.
//
// Obligations: the caller MUST call Close, which also reports whether everything is
// in the log; otherwise a goroutine and a NATS subscription stay. The functions in
// ProducerOptions MUST NOT block.
//
// All methods are safe for concurrent use.
type Producer struct {
	// Two owners share the work: the buffer has the records until they are
	// acknowledged, and the sender's goroutine has what is in flight.
	client   *Client
	topic    protocol.Topic
	targets  []protocol.Partition
	options  ProducerOptions
	identity identity
	payload  int // bytes that a frame may have
	buffer   *buffer

	stop    chan struct{} // closed to end the sender
	done    chan struct{} // closed when the sender has ended
	once    sync.Once     // the first Close
	closing chan struct{} // closed when closed is set
	closed  error         // the result of Close
}

// Producer returns a producer for a topic, which must exist.
//
// While Laneway does not answer, or answers with a retryable error, Producer tries
// again until ctx ends, or for 10 seconds if ctx has no deadline. The error is
// POSITION_EXPIRED if a partition has forgotten the position of a producer with a
// name. Such a producer could not continue without losing or repeating records.
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
	if err := options.check(); err != nil {
		return nil, err
	}
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
			"the delivery timeout is %s, but %s forgets a producer after %s and could then accept a batch twice",
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

// identity is the producer id and producer epoch under which Laneway recognizes
// the batches of a producer.
type identity struct {
	id    int64
	epoch int16
	next  []int32 // by target: the producer sequence of the first record to publish
}

// identify requests the identity of a new producer. With a name, it is that of the
// next instance: the answer comes after the earlier instance is fenced in every
// partition, so the positions in it are final.
func (c *Client) identify(ctx context.Context, name string, topic protocol.Topic, targets []protocol.Partition) (identity, error) {
	var request protocol.ProducerInitRequest
	if name != "" {
		if err := protocol.CheckProducerName(name); err != nil {
			return identity{}, err
		}
		// All attempts have the same instance, so they get the same epoch. An attempt that
		// has timed out may be served late, and must not fence the one that succeeded.
		request = protocol.ProducerInitRequest{Name: name, Topics: []string{topic.Name}, Instance: rand.Text()}
	}
	var response protocol.ProducerInitResponse
	err := c.insist(ctx, func(ctx context.Context) error {
		response = protocol.ProducerInitResponse{}
		return c.call(ctx, protocol.ProducerAPI+"init", request, &response)
	})
	if err != nil {
		return identity{}, err
	}
	if response.ProducerID <= 0 {
		return identity{}, protocol.Errorf(protocol.CodeInternal, "%sinit answered the producer id %d", protocol.ProducerAPI, response.ProducerID)
	}
	who := identity{id: response.ProducerID, epoch: response.ProducerEpoch, next: make([]int32, len(targets))}
	if name == "" {
		return who, nil
	}
	for i, target := range targets {
		if who.next[i], err = position(response.Positions, target); err != nil {
			return identity{}, err
		}
	}
	return who, nil
}

// position returns the producer sequence at which a producer with a name continues
// in a partition.
func position(positions []protocol.ProducerPosition, target protocol.Partition) (int32, error) {
	for _, p := range positions {
		if p.Topic != target.Topic || p.Partition != target.Number {
			continue
		}
		if p.Expired {
			return 0, protocol.Errorf(protocol.CodePositionExpired, "%s/%d", target.Topic, target.Number)
		}
		return p.NextSequence(), nil
	}
	return 0, protocol.Errorf(protocol.CodeInternal, "%sinit answered no position for %s/%d", protocol.ProducerAPI, target.Topic, target.Number)
}

// Topic returns the topic as it was when the producer started.
func (p *Producer) Topic() protocol.Topic { return p.topic }

// NextSequence returns the producer sequence of the first record that this
// producer publishes to a partition. Producer sequences count the records of a
// producer on a partition, from 0; 0 follows 2^31-1.
//
// It is where a producer with a name continues. For example, an import that
// publishes the lines of a file to one partition, and was killed after 700 of them
// were in the log, continues with line 700, counted from 0. For a producer without
// a name it is 0, and for a partition that the producer does not send to as well.
func (p *Producer) NextSequence(partition int32) int32 {
	for i, target := range p.targets {
		if target.Number == partition {
			return p.identity.next[i]
		}
	}
	return 0
}

// Flush sends what lingers, and waits until every record that was published before
// is in the log. If ctx ends first, it returns the error of ctx, and the producer
// continues. Otherwise the error is that of Err.
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

// Close accepts no more records, waits until all accepted ones are in the log, and
// ends the producer. It returns nil only if every record is in the log.
//
// If ctx ends first, the producer ends nevertheless. Records without an
// acknowledgement may or may not be in the log then, and the error wraps ErrClosed
// and that of ctx.
//
// Close may be called more than once; every call returns the result of the first.
// When it returns, the producer's goroutine has ended, unless it is stuck in a
// write to a NATS connection that accepts no data.
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

// close is the first Close. Flush returns exactly ErrClosed if everything is
// acknowledged, because the buffer accepts no records any more.
func (p *Producer) close(ctx context.Context) {
	p.buffer.shut()
	err := p.Flush(ctx)
	switch {
	case err == ErrClosed: //nolint:errorlint // only this very error means success
	case err == ctx.Err() && err != nil: //nolint:errorlint // as Flush returns it
		p.closed = fmt.Errorf("%w: %w", errUnacked, err)
	default:
		p.closed = err
	}
	close(p.stop)
	close(p.closing)
}

// endTime is how long Close waits for the sender's goroutine after its context has
// ended.
const endTime = time.Second

// ended waits until the sender has ended. That takes no time unless the sender is
// in a write that blocks.
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

// Err returns why the producer accepts no more records: a *ProduceError after a
// failure, or an error that wraps ErrClosed. It is nil while the producer accepts
// records.
func (p *Producer) Err() error { return p.buffer.why() }

// Summary returns counts of what the producer has done so far.
func (p *Producer) Summary() Summary { return p.buffer.summary() }
