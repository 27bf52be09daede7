package client

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/messages"
)

// batch is a frame on its way. It belongs to the window.
type batch struct {
	builder *messages.FrameBuilder // nil once it need not be sent again
	size    int                    // of the frame
	target  int                    // index among the producer's targets
	first   int64
	records int
	bytes   int64
	parent  trace.SpanContext

	span     trace.Span
	deadline time.Time
	settled  bool
	ack      messages.ProduceAck
	err      error
}

// waiter waits until all batches below a number are acked.
type waiter struct {
	batch uint64
	acked chan<- struct{}
}

// window holds the batches that are sent and not acked, in order. One goroutine
// owns it.
type window struct {
	p       *Producer
	inbox   string // with the dot before a batch's number
	answers <-chan *nats.Msg
	header  nats.Header // of a batch without a trace

	queue   []*batch
	head    uint64 // number of the first batch in queue
	taken   uint64 // number of the next batch
	bytes   int    // of the frames in queue
	failing bool   // one in queue has failed; those before it are still waited for
	served  []bool // by target: somebody is known to receive
	start   *start // of the batch at the end of queue, until its target is served
	waiters []waiter

	expiry *time.Timer // of the head
	retry  *time.Timer // of start
	passed chan int    // attempts that passed the server
	ctx    context.Context
	cancel context.CancelFunc
	checks sync.WaitGroup
}

func newWindow(p *Producer, inbox string, answers <-chan *nats.Msg) *window {
	w := &window{
		p: p, inbox: inbox, answers: answers,
		header: nats.Header{
			messages.HeaderContentType: {messages.ContentTypeBatch},
			messages.HeaderProducer:    {p.lane},
		},
		served: make([]bool, len(p.targets)),
		expiry: time.NewTimer(time.Hour), retry: time.NewTimer(time.Hour),
		passed: make(chan int),
	}
	w.retry.Stop()
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// run is the window's goroutine.
func (w *window) run() {
	err := w.serve()
	w.cancel()
	w.checks.Wait()
	w.expiry.Stop()
	w.retry.Stop()
	for _, b := range w.queue {
		w.finish(b, err)
	}
	w.p.mu.Lock()
	if w.p.err == nil {
		w.p.err = err
	}
	w.p.mu.Unlock()
	close(w.p.done)
}

func (w *window) serve() error {
	for {
		var submit <-chan *batch
		if w.hasRoom() {
			submit = w.p.submit
		}
		select {
		case b := <-submit:
			w.take(b)
		case m := <-w.answers:
			w.answer(m)
		case attempt := <-w.passed:
			w.drain()
			w.confirm(attempt)
		case <-w.retry.C:
			w.send(w.start.batch)
		case now := <-w.expiry.C:
			w.expire(now)
		case acked := <-w.p.waits:
			w.waiters = append(w.waiters, waiter{w.taken, acked})
		case <-w.p.client.closed:
			return w.failure(ErrClosed)
		case <-w.p.stop:
			return ErrClosed
		}
		if err := w.settle(); err != nil {
			return err
		}
	}
}

func (w *window) hasRoom() bool {
	return !w.failing && w.start == nil && len(w.queue) < w.p.options.MaxInFlight && w.bytes < w.p.options.MaxInFlightBytes
}

// take sends a new batch.
func (w *window) take(b *batch) {
	b.target = int(w.taken % uint64(len(w.p.targets)))
	b.size = b.builder.Size()
	b.span = w.p.startSpan(b)
	w.taken++
	w.bytes += b.size
	w.queue = append(w.queue, b)
	if !w.served[b.target] {
		w.start = &start{batch: b, began: time.Now()}
	}
	w.p.mu.Lock()
	w.p.summary.Batches++
	w.p.mu.Unlock()
	w.send(b)
}

// send publishes a batch; its number is the end of the reply subject.
func (w *window) send(b *batch) {
	number := w.taken - 1 // only the newest batch is ever sent, also for another time
	b.deadline = time.Now().Add(w.p.options.Timeout)
	subject := w.p.targets[b.target].ProduceSubject()
	err := w.p.client.conn.PublishMsg(&nats.Msg{
		Subject: subject, Reply: w.inbox + strconv.FormatUint(number, 10),
		Header: w.headers(b), Data: b.builder.Bytes(),
	})
	switch {
	case w.isStart(b):
		w.attempted(err)
	case err != nil:
		w.fail(b, err)
	default:
		b.forget()
	}
}

// headers returns the message's headers, with the trace if there is one.
func (w *window) headers(b *batch) nats.Header {
	// Without a tracer the span is the parent.
	sc := b.span.SpanContext()
	if !sc.IsValid() {
		return w.header
	}
	header := make(nats.Header, len(w.header)+2)
	for name, values := range w.header {
		header[name] = values
	}
	injectTrace(sc, header)
	return header
}

// answer takes the answer to a batch.
func (w *window) answer(m *nats.Msg) {
	if m == nil {
		return
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, w.inbox), 10, 64)
	if err != nil || number < w.head || number >= w.taken {
		return
	}
	b := w.queue[number-w.head]
	if b.settled {
		return
	}
	if unserved(m) {
		err := noResponders(w.p.targets[b.target].ProduceSubject())
		if w.isStart(b) {
			w.again(err)
		} else {
			w.fail(b, err)
		}
		return
	}
	if w.isStart(b) {
		w.serving(b)
	}
	if b.ack, err = readAck(m.Data, b); err != nil {
		w.fail(b, err)
		return
	}
	b.settled = true
}

// drain takes the answers that are there already.
func (w *window) drain() {
	for range len(w.answers) {
		w.answer(<-w.answers)
	}
}

// expire fails the head if its answer is overdue.
func (w *window) expire(now time.Time) {
	if len(w.queue) == 0 || w.queue[0].settled || now.Before(w.queue[0].deadline) {
		return
	}
	w.fail(w.queue[0], messages.Errorf(messages.CodeOutcomeUnknown, "no answer came within %s", w.p.options.Timeout))
}

// fail settles a batch with an error. No further batch is taken.
func (w *window) fail(b *batch, err error) {
	b.settled, b.err = true, err
	w.failing = true
	if w.isStart(b) {
		w.start = nil
		w.retry.Stop()
	}
}

// settle acks from the head of the queue what is settled. It returns the error
// of a head that has failed: everything before it is acked.
func (w *window) settle() error {
	for len(w.queue) > 0 && w.queue[0].settled {
		b := w.queue[0]
		if b.err != nil {
			return w.failure(b.err)
		}
		w.queue[0] = nil
		w.queue = w.queue[1:]
		w.head++
		w.bytes -= b.size
		w.acked(b)
	}
	if len(w.queue) > 0 {
		w.expiry.Reset(time.Until(w.queue[0].deadline))
	} else {
		w.expiry.Stop()
	}
	for len(w.waiters) > 0 && w.waiters[0].batch <= w.head {
		close(w.waiters[0].acked)
		w.waiters = w.waiters[1:]
	}
	return nil
}

func (w *window) acked(b *batch) {
	w.finish(b, nil)
	ack := Ack{
		FirstRecord: b.first, Records: b.records, Bytes: b.bytes, Partition: w.p.targets[b.target].Number,
		Offset: b.ack.Offset, Ticket: b.ack.Ticket, Epoch: b.ack.Epoch,
	}
	w.p.mu.Lock()
	w.p.summary.acked(ack)
	w.p.mu.Unlock()
	w.p.options.OnAck(ack)
}

// failure is how the producer fails with the first batch that is not acked.
func (w *window) failure(err error) error {
	if len(w.queue) == 0 {
		return err
	}
	b := w.queue[0]
	target := w.p.targets[b.target]
	return &ProduceError{Topic: target.Topic, Partition: target.Number, FirstFailed: b.first, Records: b.records, Err: err}
}

// finish ends the span of a batch and gives its buffer back.
func (w *window) finish(b *batch, err error) {
	if b.settled {
		err = b.err
	}
	endSpan(b, err)
	b.forget()
}

// forget gives the frame back. An unusual one is left to the collector.
func (b *batch) forget() {
	if b.builder != nil && b.size <= 1<<20 {
		b.builder.Reset()
		builders.Put(b.builder)
	}
	b.builder = nil
}
