package client

import (
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/protocol"
)

// batch is a frame that is filled and then sent. It belongs to the buffer until
// it is taken, then to the sender.
type batch struct {
	target  int                    // index among the producer's targets
	builder *protocol.FrameBuilder // nil once it is settled
	number  int64                  // of its first record
	records int
	bytes   int64 // values and headers
	room    int   // that it takes in the buffer

	began   time.Time         // when its first record came
	hurried bool              // it is not to linger
	parent  trace.SpanContext // of its first record
	span    trace.Span        // nil until it is sent

	done chan struct{} // closed when it is settled; then ack or err is final
	ack  protocol.ProduceAck
	err  error
}

// builders are shared by all producers: their buffers are large.
var builders = sync.Pool{New: func() any { return new(protocol.FrameBuilder) }}

// pooledBytes bounds the frame whose builder is kept for others.
const pooledBytes = 1 << 20

func newBatch(target int, number int64, parent trace.SpanContext) *batch {
	return &batch{
		target: target, number: number, parent: parent, began: time.Now(),
		builder: builders.Get().(*protocol.FrameBuilder), done: make(chan struct{}),
	}
}

// append adds a record and returns its index.
func (b *batch) append(r protocol.Record, room int) int32 {
	b.builder.Append(r)
	b.records++
	b.bytes += int64(r.Size())
	b.room += room
	return int32(b.records - 1)
}

// settle makes ack or err final. The frame is given back.
func (b *batch) settle() {
	if b.builder.Size() <= pooledBytes {
		b.builder.Reset()
		builders.Put(b.builder)
	}
	b.builder = nil
	close(b.done)
}

func (b *batch) settled() bool { return b.builder == nil }

// first is the acknowledgement of the first record.
func (b *batch) first() Ack {
	return Ack{
		Partition: b.ack.Partition, Offset: b.ack.Offset, Duplicate: b.ack.Duplicate,
		Ticket: b.ack.Ticket, Epoch: b.ack.Epoch,
	}
}
