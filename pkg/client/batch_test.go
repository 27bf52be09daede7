package client_test

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

func TestSendSpanIsSentWithEveryAttempt(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	defer provider.Shutdown(context.Background())
	p := produce(t, c, f, client.ProducerOptions{TracerProvider: provider})
	ctx, parent := provider.Tracer("test").Start(bounded(t), "parent")
	if _, err := p.Publish(ctx, client.ProducerRecord{Value: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	first := next(t, f.produced)
	f.refuse(first, protocol.NewError(protocol.CodeOverloaded, ""))
	second := next(t, f.produced)
	f.ack(second, 0)
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	spans := recorder.Ended()
	if len(spans) != 1 || spans[0].Name() != "send" || spans[0].Parent().SpanID() != parent.SpanContext().SpanID() {
		t.Fatalf("spans %v", spans)
	}
	for _, header := range []map[string][]string{first.Header, second.Header} {
		carrier := propagation.MapCarrier{"traceparent": strings.Join(header["traceparent"], "")}
		sent := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
		if sent.SpanID() != spans[0].SpanContext().SpanID() || sent.TraceID() != parent.SpanContext().TraceID() {
			t.Errorf("sent %v", carrier)
		}
	}
}

func TestSendSpanRecordsFailure(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	defer provider.Shutdown(context.Background())
	p := produce(t, c, f, client.ProducerOptions{TracerProvider: provider})
	publish(t, p, "a")
	f.refuse(next(t, f.produced), protocol.NewError(protocol.CodeInternal, ""))
	if p.Close(bounded(t)) == nil {
		t.Error("Close returned nil after a failure")
	}
	if spans := recorder.Ended(); len(spans) != 1 || spans[0].Status().Code != codes.Error {
		t.Errorf("spans %v", spans)
	}
}

func TestNoTracerNoTraceHeader(t *testing.T) {
	c, f := setup(t, 1)
	f.ackAll(0)
	p := produce(t, c, f, client.ProducerOptions{})
	publish(t, p, "a")
	if err := p.Flush(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if h := next(t, f.produced).Header; len(h) != 6 {
		t.Errorf("headers %v", h)
	}
}
