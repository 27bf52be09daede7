package client

import (
	"context"
	"slices"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/protocol"
)

// ProducerRecord is a record to publish.
type ProducerRecord struct {
	// Key chooses the partition. Records with the same key keep their order, as long
	// as the topic keeps its number of partitions. A record without a key may go to
	// any partition. The choice is that of NATS' mapping function partition().
	//
	// The key is not stored: put what consumers need into Headers or Value.
	Key     string
	Headers []protocol.Header
	Value   []byte
}

// Publish adds a record to a batch, and returns a future for its
// acknowledgement. It copies the record, so the caller may reuse Value and
// Headers. It does not wait for the record to be sent, but it waits while the
// buffer is full (ProducerOptions.BufferBytes).
//
// Order: if one Publish returns before another one starts, and both records go
// to the same partition, the log has them in this order.
//
// Trace context: if ctx contains a span, the record gets the headers traceparent
// and tracestate, unless it has a traceparent.
//
// Errors: the record was not accepted and will not be in the log. The error is one
// of these:
//
//   - that of ctx, MESSAGE_TOO_LARGE, MAX_PAYLOAD_EXCEEDED, HEADERS_TOO_LARGE,
//     HEADER_INVALID or HEADER_NOT_SUPPORTED: only this record is affected, and the
//     producer can be used further.
//   - that of Err: the producer accepts no records any more.
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

// check returns the error with which Laneway would refuse the record. The record
// must be checked before it is added to a batch, because a batch is refused as a
// whole, and a refused batch ends the producer.
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

// frameOverhead is an upper bound of what a frame needs beside its records, in
// bytes.
const frameOverhead = 16

// frameSize returns an upper bound of what a record needs in a frame, in bytes.
func frameSize(r *protocol.Record) int { return r.Size() + 11 + 10*len(r.Headers) }

// anyTarget is the place of a record that may go to any partition.
const anyTarget = -1

// place returns the index of the target for records with this key.
func (p *Producer) place(key string) int {
	switch {
	case len(p.targets) == 1:
		return 0
	case key == "":
		return anyTarget
	}
	return placeOf(key, len(p.targets))
}

// placeOf returns the partition of a key. It is the FNV-1a hash of 32 bits modulo
// the number of partitions, as in NATS' mapping function partition(), so that
// publishers of both kinds agree. hash/fnv would allocate.
func placeOf(key string, partitions int) int {
	hash := uint32(2166136261)
	for i := range len(key) {
		hash = (hash ^ uint32(key[i])) * 16777619
	}
	return int(hash % uint32(partitions))
}

// traced returns the headers together with the trace context of ctx, which
// consumers receive with the record. The caller's headers are not changed.
func traced(ctx context.Context, headers []protocol.Header) []protocol.Header {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() || slices.ContainsFunc(headers, func(h protocol.Header) bool { return h.Name == protocol.HeaderTraceparent }) {
		return headers
	}
	carrier := nats.Header{}
	injectTrace(sc, carrier)
	headers = slices.Clone(headers) // the caller's array may have room for more
	for _, name := range []string{protocol.HeaderTraceparent, protocol.HeaderTracestate} {
		for _, value := range carrier[name] {
			headers = append(headers, protocol.Header{Name: name, Value: value})
		}
	}
	return headers
}
