package client

import (
	"context"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/protocol"
)

const tracerName = "laneway.dev/pkg/client"

// headerCarrier writes the names as they are: NATS headers do not fold case, and
// W3C's names are lower case.
type headerCarrier nats.Header

func (c headerCarrier) Get(key string) string { return nats.Header(c).Get(key) }
func (c headerCarrier) Set(key, value string) { c[key] = []string{value} }
func (c headerCarrier) Keys() []string        { return propagation.TraceContext{}.Fields() }

func injectTrace(sc trace.SpanContext, header nats.Header) {
	ctx := trace.ContextWithSpanContext(context.Background(), sc)
	propagation.TraceContext{}.Inject(ctx, headerCarrier(header))
}

// traced returns headers with the trace context of ctx, which consumers get with the
// record. A traceparent among the headers stays as it is.
func traced(ctx context.Context, headers []protocol.Header) []protocol.Header {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() || slices.ContainsFunc(headers, func(h protocol.Header) bool { return h.Name == protocol.HeaderTraceparent }) {
		return headers
	}
	carrier := nats.Header{}
	injectTrace(sc, carrier)
	headers = slices.Clone(headers) // it is the caller's
	for _, name := range []string{protocol.HeaderTraceparent, protocol.HeaderTracestate} {
		for _, value := range carrier[name] {
			headers = append(headers, protocol.Header{Name: name, Value: value})
		}
	}
	return headers
}

// startSpan starts the span of a batch, from its first sending to its ack.
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
			semconv.MessagingMessageBodySize(b.builder.Size()),
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
