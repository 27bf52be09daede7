package main

import (
	"context"
	"errors"
	"fmt"
	neturl "net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/roles"
	"laneway.dev/internal/transport"
)

// remote is one service in a process of its own.
type remote struct {
	role    string
	flags   remoteFlags
	process processFlags
	store   *storeUse // nil for a service that needs none
	memory  int64     // its budget; 0 if it has none
	// configure says what the service is to do.
	configure func(*roles.Config)
}

// run runs the service until a signal.
func (r *remote) run(a *cli.App) error {
	log, err := r.process.logger()
	if err != nil {
		return err
	}
	p := newProcess(log)
	if err = r.serve(a.Ctx, p); a.Stopped(err) {
		err = nil // during the start
	}
	return errors.Join(err, p.shutdown(time.Duration(r.process.StopTimeout)))
}

func (r *remote) serve(ctx context.Context, p *process) error {
	config := roles.Config{Connect: func(role string) (*nats.Conn, error) {
		return connectPatiently(ctx, r.flags.NATS, role, p.log)
	}}
	if r.store != nil {
		if err := r.store.open(p, &config); err != nil {
			return err
		}
	}
	if err := p.observe(ctx, r.role, r.flags.HTTP); err != nil {
		return err
	}
	if r.memory > 0 {
		p.limitMemory(r.memory)
	}
	r.configure(&config)
	services, err := p.start(ctx, config, r.role)
	if err != nil {
		return err
	}
	about := []zap.Field{zap.String("role", r.role), zap.String("nats", cli.Redact(r.flags.NATS)), zap.String("http", p.http.Addr())}
	if r.store != nil {
		about = append(about, zap.String("store", r.store.location))
	}
	p.log.Info("ready", about...)
	if r.role == roles.Replicator {
		// No client of NATS can look it up: only the monitoring port and the system account show it.
		p.log.Info("acknowledged records survive a power loss only if the NATS server syncs each write: its configuration must say jetstream { sync_interval: always }")
	}
	return p.wait(ctx, services)
}

// connectPatiently tries until it is connected or ctx ends: services are
// started together with NATS, in any order.
func connectPatiently(ctx context.Context, url, role string, log *zap.Logger) (*nats.Conn, error) {
	attempt := func() (*nats.Conn, error) {
		conn, err := nats.Connect(url, transport.Options("laneway-"+role, log)...)
		if wrong := new(neturl.Error); errors.As(err, &wrong) {
			return nil, backoff.Permanent(cli.Misuse("%q is not a NATS URL: %w", cli.Redact(url), wrong.Err))
		}
		if transport.CredentialsRefused(err) {
			return nil, backoff.Permanent(cli.Advise(fmt.Errorf("%s: %w", cli.Redact(url), err), cli.CredentialsAdvice("--nats")))
		}
		return conn, err
	}
	conn, err := backoff.Retry(ctx, attempt, backoff.WithMaxElapsedTime(0),
		backoff.WithBackOff(&backoff.ExponentialBackOff{
			InitialInterval: 50 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.5, MaxInterval: time.Second,
		}),
		backoff.WithNotify(func(err error, wait time.Duration) {
			log.Warn("NATS cannot be reached; trying for as long as it takes", zap.String("nats", cli.Redact(url)), zap.Error(err), zap.Duration("wait", wait))
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return conn, nil
}
