package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"laneway.dev/internal/telemetry"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// span is a span with the name of the service that sent it.
type span struct {
	*trace.Span
	service string
}

// receiver is an OTLP/gRPC collector that keeps the spans it is sent.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	endpoint string

	mu      sync.Mutex
	spans   []span
	arrived chan struct{} // closed and made anew when spans have come
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{endpoint: "http://" + listener.Addr().String(), arrived: make(chan struct{})}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("receiver: %v", err)
		}
	})
	return r
}

// Export takes spans.
func (r *receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		service := ""
		for _, attribute := range resource.Resource.Attributes {
			if attribute.Key == "service.name" {
				service = attribute.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				r.spans = append(r.spans, span{s, service})
			}
		}
	}
	close(r.arrived)
	r.arrived = make(chan struct{})
	return &collector.ExportTraceServiceResponse{}, nil
}

// await returns a span once it has come.
func (r *receiver) await(ctx context.Context, t *testing.T, what string, wanted func(*trace.Span) bool) span {
	t.Helper()
	for {
		r.mu.Lock()
		arrived := r.arrived
		for _, s := range r.spans {
			if wanted(s.Span) {
				r.mu.Unlock()
				return s
			}
		}
		r.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			t.Fatalf("no span %q has come, but these: %s: %v", what, r.received(), context.Cause(ctx))
		}
	}
}

// received says which spans have come.
func (r *receiver) received() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, s := range r.spans {
		all = append(all, fmt.Sprintf("%s (trace %x, span %x, parent %x)", s.Name, s.TraceId, s.SpanId, s.ParentSpanId))
	}
	return strings.Join(all, ", ")
}

// childOf returns the span of a name and a parent in the trace.
func (r *receiver) childOf(ctx context.Context, t *testing.T, name string, traceID, parent []byte) span {
	t.Helper()
	return r.await(ctx, t, name, func(s *trace.Span) bool {
		return s.Name == name && bytes.Equal(s.TraceId, traceID) && bytes.Equal(s.ParentSpanId, parent)
	})
}

// linked returns the span of a name to which another span has a link.
func (r *receiver) linked(ctx context.Context, t *testing.T, name string, from span) span {
	t.Helper()
	return r.await(ctx, t, name, func(s *trace.Span) bool {
		for _, link := range from.Links {
			if s.Name == name && bytes.Equal(s.SpanId, link.SpanId) && bytes.Equal(s.TraceId, link.TraceId) {
				return true
			}
		}
		return false
	})
}

func TestOneProduceIsOneConnectedTrace(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		r := startReceiver(t)
		f := start(t, kind, deployment.Options{Frontend: uploadsAll, Env: []string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
			"OTEL_METRICS_EXPORTER=none", "OTEL_BSP_SCHEDULE_DELAY=100",
		}})
		const traceID, parentID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
		m := record("traced")
		m.Header = nats.Header{"traceparent": {"00-" + traceID + "-" + parentID + "-01"}}
		if ack := f.request(ctx, t, m); ack.Error != nil {
			t.Fatal(ack.Error)
		}
		id, sender := fromHex(t, traceID), fromHex(t, parentID)

		ticket := r.childOf(ctx, t, telemetry.SpanTicket, id, sender)
		stage := r.childOf(ctx, t, telemetry.SpanStage, id, ticket.SpanId)
		awaitTurn := r.childOf(ctx, t, telemetry.SpanAwaitTurn, id, stage.SpanId)
		appended := r.childOf(ctx, t, telemetry.SpanAppend, id, awaitTurn.SpanId)
		upload := r.linked(ctx, t, telemetry.SpanUpload, stage)
		commit := r.linked(ctx, t, telemetry.SpanGroupCommit, appended)

		for service, s := range map[string]span{
			deployment.Frontend: ticket, deployment.Stager: stage, deployment.Sequencer: awaitTurn, deployment.Replicator: appended,
		} {
			if want := "laneway-" + f.Of(service); s.service != want {
				t.Errorf("the span %q comes from %q, want %q", s.Name, s.service, want)
			}
		}
		inOrder(t, []moment{
			{"ticket begins", ticket.StartTimeUnixNano},
			{"stage begins", stage.StartTimeUnixNano},
			{"upload begins", upload.StartTimeUnixNano},
			{"upload ends", upload.EndTimeUnixNano},
			{"stage ends", stage.EndTimeUnixNano},
			{"await turn begins", awaitTurn.StartTimeUnixNano},
			{"await turn ends", awaitTurn.EndTimeUnixNano},
			{"append begins", appended.StartTimeUnixNano},
			{"group commit begins", commit.StartTimeUnixNano},
			{"append ends", appended.EndTimeUnixNano},
		})
		inOrder(t, []moment{{"group commit begins", commit.StartTimeUnixNano}, {"ticket ends", ticket.EndTimeUnixNano}})
	})
}

// Lanes come from what clients send. The protocol of the exporters carries UTF-8 only,
// and one span with anything else would take all spans of its export with it.
func TestTracesArriveWhateverBytesNameALane(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	r := startReceiver(t)
	f := start(t, deployment.RoleProcesses, deployment.Options{Frontend: uploadsAll, Env: []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
		"OTEL_METRICS_EXPORTER=none", "OTEL_BSP_SCHEDULE_DELAY=100",
	}})
	m := record("traced")
	m.Header = nats.Header{protocol.HeaderProducer: {"lane\xff"}}
	if ack := f.request(ctx, t, m); ack.Error != nil {
		t.Fatal(ack.Error)
	}
	for _, name := range []string{telemetry.SpanTicket, telemetry.SpanStage, telemetry.SpanAwaitTurn, telemetry.SpanAppend} {
		r.await(ctx, t, name, func(s *trace.Span) bool { return s.Name == name })
	}
}

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	id, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// moment is something that happened, in Unix nanoseconds.
type moment struct {
	what string
	at   uint64
}

func inOrder(t *testing.T, moments []moment) {
	t.Helper()
	for i := 1; i < len(moments); i++ {
		if before, after := moments[i-1], moments[i]; after.at < before.at {
			t.Errorf("%s %s before %s", after.what, time.Duration(before.at-after.at), before.what)
		}
	}
}
