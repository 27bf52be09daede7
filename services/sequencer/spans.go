package sequencer

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"laneway.dev/internal/telemetry"
	"laneway.dev/services/sequencer/core"
)

// spans makes the span "await turn" of each batch, from the moment it was staged until its
// turn came. The zero value makes none.
type spans struct{ tracer trace.Tracer }

func newSpans(t *telemetry.Telemetry) spans {
	if !t.Tracing() {
		return spans{}
	}
	return spans{tracer: t.Tracer(role)}
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
			trace.WithAttributes(telemetry.PartitionAttributes(r.Partition.Topic, r.Partition.Number)...), trace.WithAttributes(
				telemetry.Lane(b.Lane), telemetry.TicketNumber.Int64(int64(b.Number))))
		span.End(trace.WithTimestamp(r.At))
		b.Trace.Parent, b.Trace.State = telemetry.Inject(ctx)
	}
}
