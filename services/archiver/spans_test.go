package archiver

import (
	"errors"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/archiver/core"
)

func TestJobsHaveSpans(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	s := spans{tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer(role)}
	job := messages.Archive{Partition: partition, Base: messages.History{End: messages.Position{Sequence: 9, Offset: 90}}}
	s.begin(job)(core.Result{Segment: "s/1", Records: 12, Bytes: 345}, nil)
	s.begin(job)(core.Result{}, errors.New("the log is gone"))

	all := recorder.Ended()
	if len(all) != 2 {
		t.Fatalf("%d spans", len(all))
	}
	done, failed := all[0], all[1]
	common := append(telemetry.PartitionAttributes(partition.Topic, partition.Number), telemetry.Offset.Int64(90))
	for _, span := range all {
		if span.Name() != telemetry.SpanArchive {
			t.Errorf("the name is %q", span.Name())
		}
		wantAttributes(t, span, common...)
	}
	wantAttributes(t, done, telemetry.ObjectKey.String("s/1"), telemetry.MessagingBatchCount.Int64(12), telemetry.MessagingBodySize.Int64(345))
	if got := failed.Status(); got.Code != codes.Error || got.Description != "the log is gone" {
		t.Errorf("the status is %+v", got)
	}
}

func wantAttributes(t *testing.T, span sdktrace.ReadOnlySpan, want ...attribute.KeyValue) {
	t.Helper()
	for _, a := range want {
		if !slices.Contains(span.Attributes(), a) {
			t.Errorf("%s lacks %v, it has %v", span.Name(), a, span.Attributes())
		}
	}
}
