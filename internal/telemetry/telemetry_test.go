package telemetry

import (
	"context"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
)

// cleanEnvironment hides the OTEL_* variables of the environment of the tests.
func cleanEnvironment(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

// setUp sets up telemetry whose context has already ended, as a command's has when it stops.
func setUp(t *testing.T, role string) *Telemetry {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	tel, err := Setup(ctx, role, "instance-1")
	cancel()
	if err != nil {
		t.Fatalf("Setup: %v", err)
	}
	return tel
}

func stop(t *testing.T, tel *Telemetry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := tel.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func stringValues(attributes []*commonpb.KeyValue) map[string]string {
	values := make(map[string]string)
	for _, kv := range attributes {
		values[kv.Key] = kv.Value.GetStringValue()
	}
	return values
}

func TestSpansAndMetricsReachAnOTLPReceiver(t *testing.T) {
	cleanEnvironment(t)
	r := startReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.endpoint)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")

	tel := setUp(t, "serve")
	if !tel.Tracing() {
		t.Error("tracing is off")
	}
	ctx := Extract(t.Context(), exampleTraceparent, "")
	_, span := tel.Tracer("frontend").Start(ctx, SpanTicket, trace.WithAttributes(TicketNumber.Int64(7)))
	span.End()
	counter, err := tel.Meter("frontend").Int64Counter("laneway.test")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 1)
	stop(t, tel)

	traces, metrics := r.received()
	if len(traces) != 1 || len(metrics) != 1 {
		t.Fatalf("received %d trace and %d metric exports", len(traces), len(metrics))
	}
	exported := traces[0].ResourceSpans[0]
	about := stringValues(exported.Resource.Attributes)
	for key, want := range map[string]string{
		"service.name": "laneway-serve", "service.instance.id": "instance-1", "deployment.environment.name": "test",
	} {
		if about[key] != want {
			t.Errorf("%s is %q, want %q", key, about[key], want)
		}
	}
	scope := exported.ScopeSpans[0]
	if scope.Scope.Name != "laneway.dev/services/frontend" {
		t.Errorf("scope is %q", scope.Scope.Name)
	}
	got := scope.Spans[0]
	if got.Name != "ticket" || hex.EncodeToString(got.TraceId) != exampleTraceID || hex.EncodeToString(got.ParentSpanId) != exampleSpanID {
		t.Errorf("span is %v", got)
	}
}

func TestServiceNameOfTheEnvironmentWins(t *testing.T) {
	cleanEnvironment(t)
	r := startReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", r.endpoint)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_SERVICE_NAME", "mine")

	tel := setUp(t, "stager")
	_, span := tel.Tracer("stager").Start(t.Context(), SpanStage)
	span.End()
	stop(t, tel)
	traces, metrics := r.received()
	if len(traces) != 1 {
		t.Fatalf("received %d exports", len(traces))
	}
	if name := stringValues(traces[0].ResourceSpans[0].Resource.Attributes)["service.name"]; name != "mine" {
		t.Errorf("service.name is %q", name)
	}
	if len(metrics) != 0 {
		t.Error("metrics were pushed though only traces have an endpoint")
	}
}

func TestTracingIsOffUnlessAskedFor(t *testing.T) {
	for name, environment := range map[string]map[string]string{
		"nothing set":   {},
		"exporter none": {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
		"SDK disabled":  {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			cleanEnvironment(t)
			for key, value := range environment {
				t.Setenv(key, value)
			}
			tel := setUp(t, "serve")
			defer stop(t, tel)
			_, span := tel.Tracer("frontend").Start(t.Context(), SpanTicket)
			defer span.End()
			if tel.Tracing() || span.IsRecording() {
				t.Error("tracing is on")
			}
		})
	}
}

func TestMetricsOfEveryRoleAreInTheRegistry(t *testing.T) {
	cleanEnvironment(t)
	tel := setUp(t, "serve")
	defer stop(t, tel)
	for _, role := range []string{"frontend", "stager"} {
		counter, err := tel.Meter(role).Int64Counter("laneway." + role + ".test")
		if err != nil {
			t.Fatal(err)
		}
		counter.Add(t.Context(), 3)
	}
	families, err := tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]int)
	for _, family := range families {
		series[family.GetName()] = len(family.GetMetric())
	}
	if series["laneway_frontend_test_total"] != 1 || series["laneway_stager_test_total"] != 1 || series["go_goroutines"] != 1 {
		t.Errorf("series are %v", series)
	}
}

func TestUnusableEnvironmentIsAnError(t *testing.T) {
	for name, environment := range map[string][2]string{
		"traces exporter":     {"OTEL_TRACES_EXPORTER", "pigeon"},
		"metrics exporter":    {"OTEL_METRICS_EXPORTER", "pigeon"},
		"resource attributes": {"OTEL_RESOURCE_ATTRIBUTES", "no value"},
	} {
		t.Run(name, func(t *testing.T) {
			cleanEnvironment(t)
			t.Setenv(environment[0], environment[1])
			_, err := Setup(t.Context(), "serve", "")
			if err == nil || !strings.Contains(err.Error(), environment[0]) {
				t.Errorf("Setup: %v", err)
			}
		})
	}
}
