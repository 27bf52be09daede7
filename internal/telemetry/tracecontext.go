package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/pkg/protocol"
)

var w3c propagation.TraceContext

// pair carries a trace context for the propagator. It is the two values, not a map.
type pair struct{ traceparent, tracestate string }

// Get returns the value of a header.
func (p *pair) Get(key string) string {
	switch key {
	case protocol.HeaderTraceparent:
		return p.traceparent
	case protocol.HeaderTracestate:
		return p.tracestate
	}
	return ""
}

// Set keeps the value of a header.
func (p *pair) Set(key, value string) {
	switch key {
	case protocol.HeaderTraceparent:
		p.traceparent = value
	case protocol.HeaderTracestate:
		p.tracestate = value
	}
}

// Keys names the headers of the trace context.
func (p *pair) Keys() []string {
	return []string{protocol.HeaderTraceparent, protocol.HeaderTracestate}
}

// Inject returns the trace context of ctx as a message carries it; both are empty if there is none.
func Inject(ctx context.Context) (traceparent, tracestate string) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return "", ""
	}
	var carrier pair
	w3c.Inject(ctx, &carrier)
	return carrier.traceparent, carrier.tracestate
}

// Extract returns ctx with the trace context that a message carried as the remote parent.
// Without one, or with a malformed one, it returns ctx itself.
func Extract(ctx context.Context, traceparent, tracestate string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return w3c.Extract(ctx, &pair{traceparent: traceparent, tracestate: tracestate})
}
