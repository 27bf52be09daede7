// Package telemetry sets up what an operator sees of a process: the zap logger, OpenTelemetry
// traces and metrics configured by the standard OTEL_* variables, a Prometheus registry, and the
// W3C trace context that travels in messages.
//
// It keeps no state in OpenTelemetry's globals: several roles live in one process, so providers
// are returned and passed down. The one exception is [RouteErrors].
package telemetry
