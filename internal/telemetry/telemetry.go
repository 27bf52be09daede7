package telemetry

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// scopePrefix and a role make the name of an instrumentation scope.
const scopePrefix = "laneway.dev/services/"

// Telemetry holds the providers of a process. Its methods except Shutdown and Flush are safe for
// concurrent use.
type Telemetry struct {
	// Tracers makes tracers, which do nothing when tracing is off.
	Tracers trace.TracerProvider
	// Meters makes meters, whose instruments appear in Registry and in what is pushed.
	Meters metric.MeterProvider
	// Registry is what /metrics serves.
	Registry *prometheus.Registry

	tracing  bool
	shutdown []func(context.Context) error
}

// Setup configures telemetry by the standard OTEL_* variables.
//
// Traces are exported if OTEL_TRACES_EXPORTER names an exporter other than "none", or, if it is
// not set, if OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is. Otherwise
// tracing is off. Metrics are pushed by the same rule, with OTEL_METRICS_EXPORTER and
// OTEL_EXPORTER_OTLP_METRICS_ENDPOINT. Registry has the metrics whether or not they are pushed.
// OTEL_SDK_DISABLED=true turns off traces and pushing, and Registry then has only the metrics of
// the Go runtime and the process.
//
// role is, for example, "frontend" or "serve". The service name is laneway-<role>, unless
// OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES names another. instance distinguishes this process
// from others with the same role; it may be empty. The caller MUST call Shutdown.
func Setup(ctx context.Context, role, instance string) (*Telemetry, error) {
	return setup(ctx, role, instance, environment())
}

// Tracing reports whether spans are recorded, for code that would do work only to describe a span.
func (t *Telemetry) Tracing() bool { return t.tracing }

// Tracer returns the tracer of a role.
func (t *Telemetry) Tracer(role string) trace.Tracer { return t.Tracers.Tracer(scopePrefix + role) }

// Meter returns the meter of a role.
func (t *Telemetry) Meter(role string) metric.Meter { return t.Meters.Meter(scopePrefix + role) }

// Shutdown exports what is still waiting and closes the exporters, all within the deadline of ctx.
// It is called once, by the owner.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	for _, stop := range t.shutdown {
		errs = append(errs, stop(ctx))
	}
	t.shutdown = nil
	return errors.Join(errs...)
}

// RouteErrors sends the errors of the OpenTelemetry SDK to the log, such as a collector that does
// not answer. The SDK has one handler per process: main calls RouteErrors once.
func RouteErrors(log *zap.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("telemetry", zap.Error(err))
	}))
}
