package stager

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/stager/core"
)

// spans makes a span "upload" for every object, and a span "stage" for each batch in it. The
// span of a batch starts at its arrival, ends with the upload, and is linked to the span of
// the upload. The zero value makes no spans. It is safe for concurrent use.
type spans struct{ tracer trace.Tracer }

func newSpans(t *telemetry.Telemetry) spans {
	if !t.Tracing() {
		return spans{}
	}
	return spans{tracer: t.Tracer(role)}
}

// begin starts the span of an upload; nil when tracing is off.
func (s *spans) begin() trace.Span {
	if s.tracer == nil {
		return nil
	}
	_, upload := s.tracer.Start(context.Background(), telemetry.SpanUpload, trace.WithNewRoot(),
		trace.WithSpanKind(trace.SpanKindClient))
	return upload
}

// end completes the span of an upload and makes those of its batches. It gives each batch
// the trace context of its span, so that the span of its turn is a child of it.
func (s *spans) end(upload trace.Span, object *core.Object, result result, err error) {
	if upload == nil {
		return
	}
	upload.SetAttributes(telemetry.MessagingBatchCount.Int(len(object.Batches)))
	if err != nil {
		upload.SetStatus(codes.Error, err.Error())
		upload.SetAttributes(telemetry.MessagingBodySize.Int64(object.Bytes))
	} else {
		upload.SetAttributes(telemetry.ObjectKey.String(result.key), telemetry.MessagingBodySize.Int64(result.size))
	}
	upload.End()
	link := trace.WithLinks(trace.Link{SpanContext: upload.SpanContext()})
	var of protocol.Partition
	var common []attribute.KeyValue
	for i := range object.Batches {
		b := &object.Batches[i]
		if b.Trace.Parent == "" {
			continue
		}
		if common == nil || b.Partition != of {
			of, common = b.Partition, telemetry.PartitionAttributes(b.Partition.Topic, b.Partition.Number)
		}
		s.stage(b, result.key, err, link, trace.WithAttributes(common...))
	}
}

// inlined makes the spans of the batches that were not uploaded. Each is staged in the turn in
// which it has arrived.
func (s *spans) inlined(now time.Time, sent []messages.Envelope) {
	if s.tracer == nil {
		return
	}
	for i := range sent {
		m, is := sent[i].Message.(messages.Staged)
		for k := range m.Batches {
			staged := &m.Batches[k]
			if !is || len(staged.Inline) == 0 || staged.Trace.Parent == "" {
				continue
			}
			b := core.Batch{
				StageBatch: messages.StageBatch{Submission: staged.Submission, Payload: staged.Inline}, Epoch: m.Epoch, Arrived: now,
			}
			s.stage(&b, "", nil, trace.WithAttributes(telemetry.PartitionAttributes(m.Partition.Topic, m.Partition.Number)...))
			staged.Trace = b.Trace
		}
	}
}

// stage makes the span of one batch.
func (s *spans) stage(b *core.Batch, key string, err error, options ...trace.SpanStartOption) {
	ctx := telemetry.Extract(context.Background(), b.Trace.Parent, b.Trace.State)
	options = append(options, trace.WithTimestamp(b.Arrived), trace.WithAttributes(
		telemetry.Lane(b.Lane), telemetry.TicketNumber.Int64(int64(b.Number)),
		telemetry.TicketEpoch.Int64(int64(b.Epoch)), telemetry.MessagingBatchCount.Int(int(b.Records)),
		telemetry.MessagingBodySize.Int(len(b.Payload))))
	ctx, span := s.tracer.Start(ctx, telemetry.SpanStage, options...)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	} else if key != "" {
		span.SetAttributes(telemetry.ObjectKey.String(key))
	}
	span.End()
	b.Trace.Parent, b.Trace.State = telemetry.Inject(ctx)
}
