package archiver

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/archiver/core"
)

// spans makes a span "archive" for every job. The zero value makes no spans. It is safe for
// concurrent use.
type spans struct{ tracer trace.Tracer }

func newSpans(t *telemetry.Telemetry) spans {
	if !t.Tracing() {
		return spans{}
	}
	return spans{tracer: t.Tracer(role)}
}

// begin starts the span of a job. The returned function ends it.
func (s *spans) begin(job messages.Archive) (end func(core.Result, error)) {
	if s.tracer == nil {
		return func(core.Result, error) {}
	}
	_, span := s.tracer.Start(context.Background(), telemetry.SpanArchive, trace.WithNewRoot(),
		trace.WithAttributes(telemetry.PartitionAttributes(job.Partition.Topic, job.Partition.Number)...),
		trace.WithAttributes(telemetry.Offset.Int64(job.Base.End.Offset)))
	return func(r core.Result, err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		} else {
			span.SetAttributes(telemetry.ObjectKey.String(r.Segment), telemetry.MessagingBatchCount.Int64(r.Records),
				telemetry.MessagingBodySize.Int64(r.Bytes))
		}
		span.End()
	}
}
