package telemetry

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	// TraceparentHeader and TracestateHeader are lower case, as W3C has them. NATS header names are
	// case-sensitive, and propagation.HeaderCarrier would write them in HTTP's spelling.
	TraceparentHeader = "traceparent"
	// TracestateHeader carries what tracing systems add to the context.
	TracestateHeader = "tracestate"

	// The spelling of Go clients that use propagation.HeaderCarrier. It is read, never written.
	canonicalTraceparent = "Traceparent"
	canonicalTracestate  = "Tracestate"
)

var w3c propagation.TraceContext

// pair carries a trace context for the propagator. It is the two values, not a map.
type pair struct{ traceparent, tracestate string }

// Get returns the value of a header.
func (p *pair) Get(key string) string {
	switch key {
	case TraceparentHeader:
		return p.traceparent
	case TracestateHeader:
		return p.tracestate
	}
	return ""
}

// Set keeps the value of a header.
func (p *pair) Set(key, value string) {
	switch key {
	case TraceparentHeader:
		p.traceparent = value
	case TracestateHeader:
		p.tracestate = value
	}
}

// Keys names the headers of the trace context.
func (p *pair) Keys() []string { return []string{TraceparentHeader, TracestateHeader} }

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

// InjectHeader writes the trace context of ctx into header, which it makes if need be, and returns it.
// Without a trace context it returns header as it is.
func InjectHeader(ctx context.Context, header nats.Header) nats.Header {
	traceparent, tracestate := Inject(ctx)
	if traceparent == "" {
		return header
	}
	if header == nil {
		header = make(nats.Header, 2)
	}
	header[TraceparentHeader] = []string{traceparent}
	if tracestate != "" {
		header[TracestateHeader] = []string{tracestate}
	} else {
		// A state left over from a forwarded message would belong to another parent.
		delete(header, TracestateHeader)
	}
	return header
}

// ExtractHeader is Extract for the headers of a NATS message.
func ExtractHeader(ctx context.Context, header nats.Header) context.Context {
	if len(header) == 0 {
		return ctx
	}
	if traceparent := header.Get(TraceparentHeader); traceparent != "" {
		return Extract(ctx, traceparent, header.Get(TracestateHeader))
	}
	return Extract(ctx, header.Get(canonicalTraceparent), header.Get(canonicalTracestate))
}
