package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
)

// wishes are what the environment asks for.
type wishes struct {
	disabled    bool
	traces      bool
	pushMetrics bool
}

func environment() wishes {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return wishes{disabled: true}
	}
	return wishes{traces: asksFor("TRACES"), pushMetrics: asksFor("METRICS")}
}

// asksFor is stricter than the SDK, which would export to localhost when nothing at all is set.
func asksFor(signal string) bool {
	if exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter != "" {
		return exporter != "none"
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
		os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

func setup(ctx context.Context, role, instance string, wanted wishes) (*Telemetry, error) {
	// The SDK is to flush after the context of a command has ended.
	ctx = context.WithoutCancel(ctx)
	t := &Telemetry{
		Tracers:  nooptrace.NewTracerProvider(),
		Meters:   noopmetric.NewMeterProvider(),
		Registry: prometheus.NewRegistry(),
	}
	t.Registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if wanted.disabled {
		return t, nil
	}
	about, err := describe(ctx, role, instance)
	if err != nil {
		return nil, err
	}
	// Tracers are added first. If the meters then fail, no span exists whose export could take
	// time. Shutdown exports in the same order, and spans matter more.
	if wanted.traces {
		if err := t.addTracers(ctx, about); err != nil {
			return nil, err
		}
	}
	if err := t.addMeters(ctx, about, wanted.pushMetrics); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	return t, nil
}

// describe returns the attributes of this process. Those in the environment have precedence.
func describe(ctx context.Context, role, instance string) (*resource.Resource, error) {
	options := []resource.Option{
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("laneway-" + role)),
		resource.WithHost(),
	}
	if instance != "" {
		options = append(options, resource.WithAttributes(semconv.ServiceInstanceID(instance)))
	}
	about, err := resource.New(ctx, append(options, resource.WithFromEnv())...)
	if err != nil {
		return nil, fmt.Errorf("describing this process to OpenTelemetry (is OTEL_RESOURCE_ATTRIBUTES key=value,…?): %w", err)
	}
	return about, nil
}

func (t *Telemetry) addMeters(ctx context.Context, about *resource.Resource, push bool) error {
	scraped, err := otelprometheus.New(otelprometheus.WithRegisterer(t.Registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("setting up Prometheus metrics: %w", err)
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(about), sdkmetric.WithReader(scraped)}
	if push {
		pushed, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return fmt.Errorf("setting up the export of metrics (see the OTEL_METRICS_EXPORTER and OTEL_EXPORTER_OTLP_* variables): %w", err)
		}
		options = append(options, sdkmetric.WithReader(pushed))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.Meters = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}

func (t *Telemetry) addTracers(ctx context.Context, about *resource.Resource) error {
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return fmt.Errorf("setting up the export of traces (see the OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_* variables): %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithBatcher(exporter))
	t.Tracers = provider
	t.tracing = true
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}
