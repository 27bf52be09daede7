package replicator

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// spans makes the span "append" of every batch, from the arrival of its release until its
// entry is durable, and links it to the span of its group commit. The zero value makes no
// spans. It belongs to the partition's goroutine.
type spans struct {
	tracer trace.Tracer
	common []attribute.KeyValue
	since  time.Time // when the append under way was sent
}

func newSpans(t *telemetry.Telemetry, id protocol.Partition) spans {
	if !t.Tracing() {
		return spans{}
	}
	return spans{tracer: t.Tracer(role), common: telemetry.PartitionAttributes(id.Topic, id.Number)}
}

func (s *spans) appending() {
	if s.tracer != nil {
		s.since = time.Now()
	}
}

func (s *spans) committed(batches []core.Committed) {
	if s.tracer == nil || len(batches) == 0 {
		return
	}
	_, group := s.tracer.Start(context.Background(), telemetry.SpanGroupCommit, trace.WithNewRoot(),
		trace.WithTimestamp(s.since), trace.WithAttributes(s.common...),
		trace.WithAttributes(telemetry.MessagingBatchCount.Int(len(batches))))
	defer group.End()
	for i := range batches {
		b := &batches[i].Batch
		if b.Trace.Parent == "" {
			continue
		}
		ctx := telemetry.Extract(context.Background(), b.Trace.Parent, b.Trace.State)
		_, span := s.tracer.Start(ctx, telemetry.SpanAppend, trace.WithTimestamp(batches[i].Since),
			trace.WithLinks(trace.Link{SpanContext: group.SpanContext()}), trace.WithAttributes(s.common...),
			trace.WithAttributes(
				telemetry.Lane(b.Lane), telemetry.TicketNumber.Int64(int64(b.Number)),
				telemetry.Offset.Int64(batches[i].Offset), telemetry.MessagingBatchCount.Int(int(b.Records))))
		span.End()
	}
}
