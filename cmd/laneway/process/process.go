// Package process is a process that runs services of Laneway. It is what laneway
// serve and the commands for single roles have in common: the flags of the
// services, their start and stop in the right order, and what a process has besides
// services, which is telemetry, the pages for health and metrics, the object store,
// and the memory limit.
//
// It never handles a batch. Services in one process share only the object store and
// telemetry through it: they communicate only over NATS.
package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"laneway.dev/internal/health"
	"laneway.dev/internal/telemetry"
)

// Process is what a process has besides its services. It belongs to the goroutine
// of the command.
type Process struct {
	Log *zap.Logger

	telemetry *telemetry.Telemetry
	pages     *health.Health
	http      *health.Server
	stops     []stop // in the order in which they were added
}

// stop is one step of the shutdown.
type stop struct {
	what string
	do   func(context.Context) error
}

// New returns a process in which nothing runs. The caller calls Shutdown, also
// after an error of a method.
func New(log *zap.Logger) *Process { return &Process{Log: log} }

// OnStop adds a step to the shutdown. Steps run in the reverse order of their
// addition, so that what was started last stops first.
func (p *Process) OnStop(what string, do func(context.Context) error) {
	p.stops = append(p.stops, stop{what, do})
}

// Observe sets up telemetry and serves the pages at an address, or nowhere if that
// is empty. The pages answer "still starting" until a service is registered.
func (p *Process) Observe(ctx context.Context, role, address string) error {
	var err error
	if p.telemetry, err = telemetry.Setup(ctx, role, telemetry.Instance()); err != nil {
		return err
	}
	telemetry.RouteErrors(p.Log)
	p.OnStop("telemetry", func(ctx context.Context) error {
		p.telemetry.Flush(ctx, p.Log)
		return nil
	})
	p.pages = health.New(p.telemetry.Registry)
	if p.http, err = health.Serve(ctx, address, p.pages, p.Log); err != nil {
		return err
	}
	p.OnStop("HTTP", p.http.Shutdown)
	return nil
}

// HTTPAddress returns where the pages are served; empty if they are not. It is for
// use after Observe.
func (p *Process) HTTPAddress() string { return p.http.Addr() }

// Register makes the readiness of the process depend on a check. It is for use
// after Observe.
func (p *Process) Register(name string, check func(context.Context) error) {
	p.pages.Register(name, check)
}

// Start starts services, in the order given, and makes readiness depend on them.
// The context bounds only the start. It is for use after Observe.
func (p *Process) Start(ctx context.Context, config Config, names ...string) (*Services, error) {
	config.Logger, config.Telemetry = p.Log, p.telemetry
	services, err := Start(ctx, config, names...)
	if err != nil {
		return nil, err
	}
	p.OnStop("services", services.Stop)
	services.Register(p.pages)
	return services, nil
}

// Wait returns nil when ctx ends, which is the first signal, and an error when a
// service ends by itself.
func (p *Process) Wait(ctx context.Context, services *Services) error {
	select {
	case <-ctx.Done():
		p.Log.Info("stopping; a second signal ends the process at once", zap.NamedError("cause", context.Cause(ctx)))
		p.Register("process", func(context.Context) error { return errors.New("is stopping") })
		return nil
	case <-services.Ended():
		err := services.Err()
		p.Log.Error("a service has ended by itself", zap.Error(err))
		return err
	}
}

// Shutdown runs all steps. When the timeout has passed, each step that is not done
// has one more second. A step that fails or hangs does not keep the others from
// running.
func (p *Process) Shutdown(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var errs []error
	for i := len(p.stops) - 1; i >= 0; i-- {
		if err := p.stops[i].run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping %s: %w", p.stops[i].what, err))
		}
	}
	p.stops = nil
	_ = p.Log.Sync() // fails on a terminal, which cannot be synced
	return errors.Join(errs...)
}

// run runs a step and returns its error. If ctx ends before the step does, the step
// has one more second; so has a step that starts when ctx has ended already, since
// closing a file or a connection takes no longer. After that, run returns the cause
// of ctx and leaves the step running.
func (s stop) run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.do(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(time.Second):
		return context.Cause(ctx)
	}
}
