package client

import (
	"context"

	"laneway.dev/pkg/protocol"
)

// ProducerRecord is a record to be published.
type ProducerRecord struct {
	// Key chooses the partition: records of a key keep their order, as long as the
	// topic's number of partitions does. NATS' mapping function partition() chooses
	// the same. Empty is any partition. The key is not stored: what a consumer needs
	// belongs into the headers or the value.
	Key     string
	Headers []protocol.Header
	Value   []byte
}

// Publish takes a record, and returns a future of its acknowledgement; the value
// is copied. It waits while the buffer is full. Records that are published one
// after the other keep their order within a partition. If ctx has a span, the record
// gets its trace context as the headers traceparent and tracestate, unless it has a
// traceparent.
//
// An error means that the record was not taken. The producer can go on if it is
// that of ctx, MESSAGE_TOO_LARGE, MAX_PAYLOAD_EXCEEDED, HEADERS_TOO_LARGE,
// HEADER_INVALID or HEADER_NOT_SUPPORTED; otherwise it is that of Err.
func (p *Producer) Publish(ctx context.Context, r ProducerRecord) (Future, error) {
	record := protocol.Record{Headers: traced(ctx, r.Headers), Value: r.Value}
	if err := p.check(&record); err != nil {
		return Future{}, err
	}
	if err := ctx.Err(); err != nil {
		return Future{}, err
	}
	return p.buffer.put(ctx, p.place(r.Key), record)
}

// check returns why Laneway would refuse the record, and with it its batch.
func (p *Producer) check(r *protocol.Record) error {
	size := r.Size()
	if limit := p.topic.MaxRecordBytes; size > limit {
		return protocol.RecordTooLarge(size, limit)
	}
	if needs := frameOverhead + frameSize(r); needs > p.payload {
		return protocol.Errorf(protocol.CodeMaxPayload, "%d bytes with headers; with a max_payload of %d a record may have %d",
			needs, p.payload+protocol.EnvelopeRoom, p.payload)
	}
	if err := r.CheckHeaders(); err != nil {
		return err
	}
	return nil
}

// frameOverhead bounds what a frame needs beside its records.
const frameOverhead = 16

// frameSize bounds what a record needs in a frame.
func frameSize(r *protocol.Record) int { return r.Size() + 11 + 10*len(r.Headers) }
