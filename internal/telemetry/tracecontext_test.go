package telemetry

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
)

const (
	exampleTraceID     = "0af7651916cd43dd8448eb211c80319c"
	exampleSpanID      = "b7ad6b7169203331"
	exampleTraceparent = "00-" + exampleTraceID + "-" + exampleSpanID + "-01"
)

func TestTraceContextSurvivesAMessage(t *testing.T) {
	ctx := Extract(context.Background(), exampleTraceparent, "vendor=x")
	if span := trace.SpanContextFromContext(ctx); !span.IsRemote() || !span.IsSampled() {
		t.Errorf("extracted %+v", span)
	}
	parent, state := Inject(ctx)
	if parent != exampleTraceparent || state != "vendor=x" {
		t.Errorf("injected %q, %q", parent, state)
	}
}

func TestTraceContextHeadersAreLowerCase(t *testing.T) {
	ctx := Extract(context.Background(), exampleTraceparent, "vendor=x")
	want := nats.Header{"traceparent": {exampleTraceparent}, "tracestate": {"vendor=x"}, "Other": {"1"}}
	if diff := cmp.Diff(want, InjectHeader(ctx, nats.Header{"Other": {"1"}})); diff != "" {
		t.Error(diff)
	}
	delete(want, "Other")
	if diff := cmp.Diff(want, InjectHeader(ctx, nil)); diff != "" {
		t.Error(diff)
	}
}

func TestForwardedTracestateOfAnotherParentIsDropped(t *testing.T) {
	ctx := Extract(context.Background(), exampleTraceparent, "")
	header := InjectHeader(ctx, nats.Header{"traceparent": {"old"}, "tracestate": {"old"}})
	if diff := cmp.Diff(nats.Header{"traceparent": {exampleTraceparent}}, header); diff != "" {
		t.Error(diff)
	}
}

func TestHeadersOfHeaderCarrierAreRead(t *testing.T) {
	header := nats.Header{}
	w3c.Inject(Extract(context.Background(), exampleTraceparent, "vendor=x"), propagation.HeaderCarrier(header))
	ctx := ExtractHeader(context.Background(), header)
	if got := trace.SpanContextFromContext(ctx).TraceID().String(); got != exampleTraceID {
		t.Errorf("trace id is %s from %v", got, header)
	}
}

func TestMalformedTraceContextIsIgnored(t *testing.T) {
	for _, parent := range []string{"", "x", "00-0-0-00", exampleTraceparent[:54], "ff" + exampleTraceparent[2:]} {
		ctx := Extract(context.Background(), parent, "vendor=x")
		if trace.SpanContextFromContext(ctx).IsValid() {
			t.Errorf("%q was taken for a trace context", parent)
		}
	}
}

func TestTraceContextPassesThroughAProcessWithoutTracing(t *testing.T) {
	ctx := Extract(context.Background(), exampleTraceparent, "")
	ctx, span := nooptrace.NewTracerProvider().Tracer("x").Start(ctx, "x")
	defer span.End()
	if parent, _ := Inject(ctx); parent != exampleTraceparent {
		t.Errorf("injected %q", parent)
	}
}

func TestNoTraceContextCostsNoAllocation(t *testing.T) {
	ctx := context.Background()
	header := nats.Header{"Other": {"1"}}
	allocations := testing.AllocsPerRun(100, func() {
		_, _ = Inject(ctx)
		_ = Extract(ctx, "", "")
		_ = InjectHeader(ctx, header)
		_ = ExtractHeader(ctx, header)
		_ = TraceField(ctx)
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
