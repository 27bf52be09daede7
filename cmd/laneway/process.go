package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"laneway.dev/cmd/laneway/roles"
	"laneway.dev/internal/health"
	"laneway.dev/internal/telemetry"
)

// process is what a process that runs services has beside them. It belongs to
// the goroutine of the command.
type process struct {
	log       *zap.Logger
	telemetry *telemetry.Telemetry
	pages     *health.Health
	http      *health.Server
	stops     []stop // in the order of the starts
}

// stop is one step of the way down.
type stop struct {
	what string
	do   func(context.Context) error
}

func newProcess(log *zap.Logger) *process { return &process{log: log} }

// onStop adds a step that is taken before those that were added earlier.
func (p *process) onStop(what string, do func(context.Context) error) {
	p.stops = append(p.stops, stop{what, do})
}

// observe sets up telemetry and the pages, which answer "still starting" until
// something is registered.
func (p *process) observe(ctx context.Context, role, address string) error {
	var err error
	if p.telemetry, err = telemetry.Setup(ctx, role, instance()); err != nil {
		return err
	}
	telemetry.RouteErrors(p.log)
	p.onStop("telemetry", func(ctx context.Context) error {
		flush(ctx, p.telemetry.Shutdown, p.log)
		return nil
	})
	p.pages = health.New(p.telemetry.Registry)
	if p.http, err = health.Serve(ctx, address, p.pages, p.log); err != nil {
		return err
	}
	p.onStop("HTTP", p.http.Shutdown)
	return nil
}

// start starts services and makes readiness depend on them.
func (p *process) start(ctx context.Context, config roles.Config, names ...string) (*roles.Running, error) {
	config.Logger, config.Telemetry = p.log, p.telemetry
	services, err := roles.Start(ctx, config, names...)
	if err != nil {
		return nil, err
	}
	p.onStop("services", services.Stop)
	services.Register(p.pages)
	return services, nil
}

// wait returns nil at the first signal, and the reason when a service ends by itself.
func (p *process) wait(ctx context.Context, services *roles.Running) error {
	select {
	case <-ctx.Done():
		p.log.Info("stopping; a second signal ends the process at once", zap.NamedError("cause", context.Cause(ctx)))
		p.pages.Register("process", func(context.Context) error { return errors.New("is stopping") })
		return nil
	case <-services.Ended():
		err := services.Err()
		p.log.Error("a service has ended by itself", zap.Error(err))
		return err
	}
}

// shutdown takes all steps, whatever fails, within the bound.
func (p *process) shutdown(bound time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	var errs []error
	for i := len(p.stops) - 1; i >= 0; i-- {
		if err := p.stops[i].take(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping %s: %w", p.stops[i].what, err))
		}
	}
	p.stops = nil
	// A terminal cannot be synced, and says so.
	_ = p.log.Sync()
	return errors.Join(errs...)
}

// take does not wait beyond the end of ctx for a step that does not heed it.
func (s stop) take(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.do(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// What is left to do after the bound may have been done without a wait.
	select {
	case err := <-done:
		return err
	case <-time.After(time.Second):
		return context.Cause(ctx)
	}
}

// lastTelemetry bounds the export of what was traced and measured last.
const lastTelemetry = 2 * time.Second

// flush ends the export of telemetry. What Laneway promises does not depend on
// it: a backend that is down is worth a warning and a moment, no more.
func flush(ctx context.Context, export func(context.Context) error, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(ctx, lastTelemetry)
	defer cancel()
	if err := (stop{"telemetry", export}).take(ctx); err != nil {
		log.Warn("the last telemetry could not be exported", zap.Error(err))
	}
}

// instance names this process among those of its role.
func instance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}
