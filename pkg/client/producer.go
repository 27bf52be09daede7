package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/messages"
)

// Producer sends records to a topic, in the order of Append. It is safe for
// concurrent use. Close must be called.
//
// It fails for good with the first batch that fails, because what comes after a
// batch must not overtake it; see ProduceError. It sends a batch again only if
// nobody received it: the first one of a partition, for a while.
//
// What is gathered belongs to whoever holds turn, what is in flight to the
// window's goroutine.
type Producer struct {
	client  *Client
	topic   messages.Topic
	targets []messages.Partition
	options ProducerOptions
	lane    string // names this producer's order to the frontend

	turn      chan struct{} // holds a token while somebody appends
	gathering *messages.FrameBuilder
	bytes     int64             // of the records in it
	first     int64             // number of its first record
	parent    trace.SpanContext // of its first record
	began     chan struct{}     // tells the lingerer of a batch's first record

	submit chan *batch
	waits  chan chan<- struct{}
	stop   chan struct{}
	once   sync.Once
	done   chan struct{} // closed when the window's goroutine has ended
	wait   sync.WaitGroup

	records, recordBytes atomic.Int64 // appended

	mu      sync.Mutex // guards what follows
	summary Summary
	err     error // why done is closed
}

// builders are shared by all producers: their buffers are large.
var builders = sync.Pool{New: func() any { return new(messages.FrameBuilder) }}

// Producer returns a producer for a topic, which must exist.
func (c *Client) Producer(ctx context.Context, topic string, options ProducerOptions) (*Producer, error) {
	found, _, err := c.Admin().TopicInfo(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("produce to %s: %w", topic, err)
	}
	targets, err := options.targets(found)
	if err != nil {
		return nil, fmt.Errorf("produce to %s: %w", topic, err)
	}
	options = options.complete()
	p := &Producer{
		client: c, topic: found, targets: targets, options: options, lane: rand.Text(),
		turn: make(chan struct{}, 1), began: make(chan struct{}, 1),
		gathering: builders.Get().(*messages.FrameBuilder),
		submit:    make(chan *batch), waits: make(chan chan<- struct{}),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	inbox := c.conn.NewInbox()
	answers := make(chan *nats.Msg, 2*options.MaxInFlight+16)
	// One subscription for all answers keeps their order.
	sub, err := c.conn.ChanSubscribe(inbox+".*", answers)
	if err != nil {
		return nil, fmt.Errorf("produce to %s: subscribe to answers: %w", topic, err)
	}
	w := newWindow(p, inbox+".", answers)
	p.wait.Go(func() {
		w.run()
		// On a closed connection there is nothing to leave.
		_ = sub.Unsubscribe()
	})
	if options.Linger > 0 {
		p.wait.Go(p.linger)
	}
	return p, nil
}

// Topic returns the topic as it was when the producer was made.
func (p *Producer) Topic() messages.Topic { return p.topic }

// Append adds a record to the current batch; its value is copied. If the batch
// is full it is sent first, for which Append may wait until there is room among
// those in flight. After an error the record is not taken; the producer can go
// on if the error is that of ctx, or MESSAGE_TOO_LARGE.
func (p *Producer) Append(ctx context.Context, r messages.Record) error {
	size := r.Size()
	if limit := p.topic.MaxRecordBytes; size > limit {
		return messages.RecordTooLarge(size, limit)
	}
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	if p.gathering.Size()+size+recordOverhead(&r) > p.options.BatchBytes {
		if err := p.handOver(ctx); err != nil {
			return err
		}
	}
	if p.gathering.Records() == 0 {
		p.parent = trace.SpanContextFromContext(ctx)
		if p.options.Linger > 0 {
			select {
			case p.began <- struct{}{}:
			default:
			}
		}
	}
	p.gathering.Append(r)
	p.bytes += int64(size)
	p.records.Add(1)
	p.recordBytes.Add(int64(size))
	return nil
}

// acquire takes the turn.
func (p *Producer) acquire(ctx context.Context) error {
	select {
	case <-p.done:
		return p.Err()
	default:
	}
	select {
	case p.turn <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-p.done:
		return p.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Producer) release() { <-p.turn }

// handOver gives the current batch, if any, to the window. Without success the
// batch stays the current one. The caller holds the turn.
func (p *Producer) handOver(ctx context.Context) error {
	records := p.gathering.Records()
	if records == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b := &batch{builder: p.gathering, first: p.first, records: records, bytes: p.bytes, parent: p.parent}
	select {
	case p.submit <- b:
	case <-p.done:
		return p.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	p.gathering = builders.Get().(*messages.FrameBuilder)
	p.first += int64(records)
	p.bytes = 0
	return nil
}

// Flush sends the current batch and returns when everything that was appended
// before is in the log.
func (p *Producer) Flush(ctx context.Context) error {
	if err := p.push(ctx); err != nil {
		return err
	}
	acked := make(chan struct{})
	select {
	case p.waits <- acked:
	case <-p.done:
		return p.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-acked:
		return nil
	case <-p.done:
		return p.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// push sends the current batch.
func (p *Producer) push(ctx context.Context) error {
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release()
	return p.handOver(ctx)
}

// linger sends batches whose first record has waited for long enough. A timer
// that a full batch left behind may send the next one early, which does no harm.
func (p *Producer) linger() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-p.began:
			timer.Reset(p.options.Linger)
		case <-timer.C:
			// A failure is told to whoever appends or flushes next.
			_ = p.push(context.Background())
		case <-p.done:
			return
		}
	}
}

// Close flushes and ends the producer; no goroutine is left. If ctx ends first,
// what is not acked by then may or may not be in the log. The error says why not
// everything is; a further Close returns it again.
func (p *Producer) Close(ctx context.Context) error {
	p.once.Do(func() {
		err := ErrClosed
		if flushErr := p.Flush(ctx); flushErr != nil {
			err = fmt.Errorf("%w before everything was acked: %w", ErrClosed, flushErr)
		}
		p.mu.Lock()
		if p.err == nil {
			p.err = err
		}
		p.mu.Unlock()
		close(p.stop)
	})
	p.wait.Wait()
	if err := p.Err(); err != ErrClosed { //nolint:errorlint // exactly this one says that all went well
		return err
	}
	return nil
}

// Err returns why the producer takes no more records: a *ProduceError, or
// ErrClosed. It is nil while it does.
func (p *Producer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Summary returns what was done so far.
func (p *Producer) Summary() Summary {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.summary
	s.Offsets = append([]OffsetRange(nil), s.Offsets...)
	s.Records, s.Bytes = p.records.Load(), p.recordBytes.Load()
	return s
}
