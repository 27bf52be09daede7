package sequencer

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/sequencer/core"
)

// spans makes the span "await turn" of each batch, from the moment it was staged until its
// turn came. The zero value makes none.
type spans struct {
	tracer trace.Tracer
	common []attribute.KeyValue
}

func newSpans(t *telemetry.Telemetry, id protocol.Partition) spans {
	if !t.Tracing() {
		return spans{}
	}
	return spans{tracer: t.Tracer(role), common: telemetry.PartitionAttributes(id.Topic, id.Number)}
}

// released makes the spans of batches, and gives each batch the trace context of its span,
// so that the span of its append is a child of it.
func (s *spans) released(all []core.Released) {
	if s.tracer == nil {
		return
	}
	for _, r := range all {
		b := r.Batch
		ctx := telemetry.Extract(context.Background(), b.Trace.Parent, b.Trace.State)
		ctx, span := s.tracer.Start(ctx, telemetry.SpanAwaitTurn, trace.WithTimestamp(r.Staged),
			trace.WithAttributes(s.common...), trace.WithAttributes(
				telemetry.Lane(b.Lane), telemetry.TicketNumber.Int64(int64(b.Number))))
		span.End(trace.WithTimestamp(r.At))
		b.Trace.Parent, b.Trace.State = telemetry.Inject(ctx)
	}
}
