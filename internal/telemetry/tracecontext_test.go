package telemetry

import (
	"context"
	"testing"

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

func TestMalformedTraceContextIsIgnored(t *testing.T) {
	for _, parent := range []string{"", "x", "00-0-0-00", exampleTraceparent[:54], "ff" + exampleTraceparent[2:]} {
		ctx := Extract(context.Background(), parent, "vendor=x")
		if trace.SpanContextFromContext(ctx).IsValid() {
			t.Errorf("%q was taken for a trace context", parent)
		}
	}
}

func TestTraceContextPassesWithoutTracing(t *testing.T) {
	ctx := Extract(context.Background(), exampleTraceparent, "")
	ctx, span := nooptrace.NewTracerProvider().Tracer("x").Start(ctx, "x")
	defer span.End()
	if parent, _ := Inject(ctx); parent != exampleTraceparent {
		t.Errorf("injected %q", parent)
	}
}

func TestNoTraceContextCostsNoAllocation(t *testing.T) {
	ctx := context.Background()
	allocations := testing.AllocsPerRun(100, func() {
		_, _ = Inject(ctx)
		_ = Extract(ctx, "", "")
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
