package client

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/protocol"
)

// batch is a batch frame that is being filled, waits to be sent, or is sent. It belongs
// to the buffer until the sender takes it, and then to the sender. Its records MUST
// NOT change after the first attempt: a partition recognizes a batch only by its first
// and its last producer sequence together.
type batch struct {
	target  int                    // index in the producer's targets
	builder *protocol.FrameBuilder // nil once it is no longer needed
	frame   []byte                 // what is sent; nil until the batch is taken, and again once it is settled
	number  int64                  // of its first record, counted over all partitions
	records int
	bytes   int64 // values and headers
	room    int   // what it takes up in the buffer

	created time.Time
	sent    time.Time         // for the first time; zero before
	took    time.Duration     // from then to its answer
	hurried bool              // it is sent without lingering
	parent  trace.SpanContext // of the Publish that created it
	span    trace.Span        // nil until it is sent

	joined []joined // batches whose records this one sends after its own

	over bool          // the batch is settled
	done chan struct{} // closed when the batch is settled; ack and err are then final
	ack  protocol.ProduceAck
	err  error
}

// joined is a batch whose records another batch sends. Both are settled together.
type joined struct {
	*batch
	index int // of its first record within the other batch
}

// builders are shared by all producers, because each uses much memory.
var builders = sync.Pool{New: func() any { return new(protocol.FrameBuilder) }}

// pooledBytes is the size of the largest frame whose builder is pooled. Without a limit,
// the pool would keep the memory of huge records.
const pooledBytes = 1 << 20

func newBatch(target int, number int64, parent trace.SpanContext) *batch {
	return &batch{
		target: target, number: number, parent: parent, created: time.Now(),
		builder: builders.Get().(*protocol.FrameBuilder), done: make(chan struct{}),
	}
}

// append adds a record and returns its index in the batch.
func (b *batch) append(r protocol.Record, room int) int32 {
	b.builder.Append(r)
	b.records++
	b.bytes += int64(r.Size())
	b.room += room
	return int32(b.records - 1)
}

// fits reports whether the records of the next batch of the target can be sent in one frame with
// those of this one. frame and records are the limits of the frame.
func (b *batch) fits(next *batch, frame, records int) bool {
	return b.builder.Size()+next.builder.Size() <= frame && b.records+next.records <= records
}

// join takes over the records of the next batch of the target. Neither has been sent.
func (b *batch) join(next *batch) {
	b.builder.AppendFrame(next.builder)
	next.free()
	b.joined = append(b.joined, joined{next, b.records})
	b.records += next.records
	b.bytes += next.bytes
	b.room += next.room
}

// complete builds the frame that every attempt sends. The frame is compressed if that makes it
// shorter. complete compresses into scratch, and returns the memory to use for the next batch;
// nil if it is too large to keep.
func (b *batch) complete(c protocol.Compression, scratch []byte) []byte {
	b.frame = b.builder.Bytes()
	compressed, shorter := protocol.CompressFrame(scratch[:0], b.frame, c)
	if shorter {
		b.frame = bytes.Clone(compressed)
		b.free()
	}
	if cap(compressed) > pooledBytes {
		return nil
	}
	return compressed
}

// free returns the memory of the plain frame.
func (b *batch) free() {
	if b.builder != nil && b.builder.Size() <= pooledBytes {
		b.builder.Reset()
		builders.Put(b.builder)
	}
	b.builder = nil
}

// settle makes ack or err final, and frees the frame. After that, the batch is not
// sent again.
//
// The futures of its own records are done before those of the batches joined to it, so
// that within a partition acknowledgements arrive in the order of Publish.
func (b *batch) settle() {
	joined := b.joined
	b.free()
	b.frame, b.joined, b.over = nil, nil, true
	close(b.done)
	for _, j := range joined {
		j.ack, j.err = b.ack, b.err
		j.ack.Offset += int64(j.index)
		j.settle()
	}
}

func (b *batch) settled() bool { return b.over }

// first returns the acknowledgement of the first record.
func (b *batch) first() Ack {
	return Ack{
		Partition: b.ack.Partition, Offset: b.ack.Offset, Duplicate: b.ack.Duplicate,
		Ticket: b.ack.Ticket, Epoch: b.ack.Epoch,
	}
}

const tracerName = "laneway.dev/pkg/client"

// headerCarrier writes trace headers with their names unchanged: NATS headers are
// case-sensitive, and the W3C names are lower case.
type headerCarrier nats.Header

func (c headerCarrier) Get(key string) string { return nats.Header(c).Get(key) }
func (c headerCarrier) Set(key, value string) { c[key] = []string{value} }
func (c headerCarrier) Keys() []string        { return propagation.TraceContext{}.Fields() }

// injectTrace adds a trace context to header.
func injectTrace(sc trace.SpanContext, header nats.Header) {
	ctx := trace.ContextWithSpanContext(context.Background(), sc)
	propagation.TraceContext{}.Inject(ctx, headerCarrier(header))
}

// startSpan starts the span of a batch, which lasts from its first attempt to its
// acknowledgement, including all retries.
func (p *Producer) startSpan(b *batch) trace.Span {
	ctx := trace.ContextWithSpanContext(context.Background(), b.parent)
	_, span := p.options.TracerProvider.Tracer(tracerName).Start(ctx, "send", trace.WithSpanKind(trace.SpanKindProducer))
	if span.IsRecording() {
		target := p.targets[b.target]
		span.SetAttributes(
			semconv.MessagingSystemKey.String("nats"),
			semconv.MessagingOperationName("send"),
			semconv.MessagingOperationTypeSend,
			semconv.MessagingDestinationName(target.Topic),
			semconv.MessagingDestinationPartitionID(strconv.Itoa(int(target.Number))),
			semconv.MessagingBatchMessageCount(b.records),
			semconv.MessagingMessageBodySize(len(b.frame)),
		)
	}
	return span
}

// endSpan ends the span of a batch.
func endSpan(b *batch, err error) {
	if !b.span.IsRecording() {
		return
	}
	if err != nil {
		b.span.SetStatus(codes.Error, err.Error())
	} else {
		b.span.SetAttributes(
			attribute.Int64("laneway.offset", b.ack.Offset),
			attribute.Bool("laneway.duplicate", b.ack.Duplicate),
			attribute.Int64("laneway.ticket.number", int64(b.ack.Ticket)),
			attribute.Int64("laneway.ticket.epoch", int64(b.ack.Epoch)),
		)
	}
	b.span.End()
}
