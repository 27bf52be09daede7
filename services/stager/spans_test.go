package stager

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/stager/core"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// traced uploads two batches, of which the first is traced, one second after
// they have arrived, and returns the spans by name.
func traced(t *testing.T, put putFunc) (core.Uploaded, map[string][]sdktrace.ReadOnlySpan) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	u := newUploader(put, nil)
	u.spans = spans{tracer: provider.Tracer(role)}
	o := object(1500*time.Millisecond, 1500*time.Millisecond)
	o.Batches[0].Trace = messages.Trace{Parent: parent, State: "vendor=1"}
	<-time.After(time.Second)
	result := u.upload(t.Context(), o, fate{})
	byName := make(map[string][]sdktrace.ReadOnlySpan)
	for _, s := range recorder.Ended() {
		byName[s.Name()] = append(byName[s.Name()], s)
	}
	if len(byName[telemetry.SpanUpload]) != 1 || len(byName[telemetry.SpanStage]) != 1 {
		t.Fatalf("spans are %v, want one of the upload and one of the traced batch", byName)
	}
	return result, byName
}

func TestStageSpanIsLinkedToTheUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arrived := time.Now()
		result, byName := traced(t, func(context.Context, string, [][]byte) error {
			<-time.After(200 * time.Millisecond)
			return nil
		})
		upload, staged := byName[telemetry.SpanUpload][0], byName[telemetry.SpanStage][0]

		if upload.Parent().IsValid() {
			t.Error("the upload has a parent; it serves many traces")
		}
		wantAttributes(t, upload, telemetry.ObjectKey.String(result.Extents[0].Key),
			telemetry.MessagingBatchCount.Int(2), telemetry.MessagingBodySize.Int64(result.Size))
		if got := staged.Parent().SpanID().String(); got != "00f067aa0ba902b7" {
			t.Errorf("the parent of the stage is %s, want the batch's", got)
		}
		if got := staged.Links(); len(got) != 1 || got[0].SpanContext.SpanID() != upload.SpanContext().SpanID() {
			t.Errorf("links are %v, want the upload", got)
		}
		if from, to := staged.StartTime().Sub(arrived), staged.EndTime().Sub(arrived); from != 0 || to != 1200*time.Millisecond {
			t.Errorf("the stage lasts from %v to %v, want 0s to 1.2s", from, to)
		}
		wantAttributes(t, staged, telemetry.TicketLane.String("a"), telemetry.TicketNumber.Int64(1),
			telemetry.MessagingDestination.String("orders"), telemetry.ObjectKey.String(result.Extents[0].Key))

		of := result.Object.Batches
		want := "00-4bf92f3577b34da6a3ce929d0e0e4736-" + staged.SpanContext().SpanID().String() + "-01"
		if of[0].Trace != (messages.Trace{Parent: want, State: "vendor=1"}) {
			t.Errorf("the batch leaves with %v, want the stage's context %s", of[0].Trace, want)
		}
		if of[1].Trace != (messages.Trace{}) {
			t.Errorf("a batch without a trace leaves with %v", of[1].Trace)
		}
	})
}

func TestFailedUploadMarksItsSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, byName := traced(t, func(context.Context, string, [][]byte) error { return errors.New("gone") })
		for name, all := range byName {
			if got := all[0].Status(); got.Code != codes.Error || got.Description != "gone" {
				t.Errorf("%s has the status %v, want the error", name, got)
			}
		}
	})
}

func TestWithoutTracingTheTraceContextPassesUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUploader(func(context.Context, string, [][]byte) error { return nil }, nil)
		o := object(time.Second)
		o.Batches[0].Trace = messages.Trace{Parent: parent, State: "vendor=1"}
		u.upload(t.Context(), o, fate{})
		if got := o.Batches[0].Trace; got != (messages.Trace{Parent: parent, State: "vendor=1"}) {
			t.Errorf("the batch leaves with %v", got)
		}
	})
}

func wantAttributes(t *testing.T, span sdktrace.ReadOnlySpan, want ...attribute.KeyValue) {
	t.Helper()
	got := attribute.NewSet(span.Attributes()...)
	for _, a := range want {
		if v, ok := got.Value(a.Key); !ok || v != a.Value {
			t.Errorf("%s: %s is %v, want %v", span.Name(), a.Key, v.String(), a.Value.String())
		}
	}
}
