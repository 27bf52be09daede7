package produce

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

// span is the span "ticket" of one request; nil when tracing is off.
type span = trace.Span

// spans makes the span "ticket" of every request, from its arrival until its answer. The
// zero value makes no spans.
type spans struct {
	tracer trace.Tracer
	common []attribute.KeyValue
}

func newSpans(t *telemetry.Telemetry, id protocol.Partition) spans {
	if !t.Tracing() {
		return spans{}
	}
	return spans{tracer: t.Tracer("frontend"), common: telemetry.PartitionAttributes(id.Topic, id.Number)}
}

// start starts the span of a request and returns the trace context for its batch.
func (s *spans) start(p core.Produce) (span, messages.Trace) {
	if s.tracer == nil {
		return nil, p.Trace
	}
	ctx := telemetry.Extract(context.Background(), p.Trace.Parent, p.Trace.State)
	ctx, started := s.tracer.Start(ctx, telemetry.SpanTicket, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(s.common...), trace.WithAttributes(
			telemetry.Lane(p.Lane), telemetry.MessagingBatchCount.Int(int(p.Records)),
			telemetry.MessagingBodySize.Int(len(p.Payload))))
	parent, state := telemetry.Inject(ctx)
	return started, messages.Trace{Parent: parent, State: state}
}

// end ends the span of a request with the attributes of its answer.
func (s *spans) end(started span, a core.Answer) {
	if started == nil {
		return
	}
	started.SetAttributes(telemetry.TicketNumber.Int64(int64(a.Number)), telemetry.TicketEpoch.Int64(int64(a.Epoch)))
	if a.Error != nil {
		started.SetStatus(codes.Error, telemetry.UTF8(a.Error.Error()))
		started.SetAttributes(telemetry.ErrorCode.Int(int(a.Error.Code)))
	} else {
		started.SetAttributes(telemetry.Offset.Int64(a.Offset))
	}
	started.End()
}
