package sequencer

import (
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/sequencer/core"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestAwaitTurnLastsFromStagedToReleased(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	s := spans{tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer(role)}
	staged := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	b := messages.StagedBatch{Submission: messages.Submission{Trace: messages.Trace{Parent: parent, State: "vendor=1"}}}
	s.released([]core.Released{{Batch: &b, Staged: staged, At: staged.Add(time.Second)}})
	all := recorder.Ended()
	if len(all) != 1 || all[0].Name() != telemetry.SpanAwaitTurn {
		t.Fatalf("spans are %v, want one %q", all, telemetry.SpanAwaitTurn)
	}
	span := all[0]
	if !span.StartTime().Equal(staged) || !span.EndTime().Equal(staged.Add(time.Second)) {
		t.Errorf("the span lasts from %v to %v", span.StartTime(), span.EndTime())
	}
	if got := span.Parent().SpanID().String(); got != "00f067aa0ba902b7" {
		t.Errorf("its parent is %s, want the span of the batch", got)
	}
	want := "00-4bf92f3577b34da6a3ce929d0e0e4736-" + span.SpanContext().SpanID().String() + "-01"
	if b.Trace != (messages.Trace{Parent: want, State: "vendor=1"}) {
		t.Errorf("the batch leaves with %v, want %s", b.Trace, want)
	}
}

func TestWithoutTracingTheTraceContextIsKept(t *testing.T) {
	b := messages.StagedBatch{Submission: messages.Submission{Trace: messages.Trace{Parent: parent}}}
	(&spans{}).released([]core.Released{{Batch: &b}})
	if b.Trace.Parent != parent {
		t.Errorf("the batch leaves with %v", b.Trace)
	}
}
