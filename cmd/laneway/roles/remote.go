package roles

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
	"laneway.dev/cmd/laneway/process"
	"laneway.dev/internal/transport"
)

// remote is one service in a process of its own.
type remote struct {
	role    string
	flags   remoteFlags
	process process.Flags
	store   *process.Store // nil for a service that needs none
	memory  int64          // its budget in bytes; 0 if it has none
	// configure puts the flags of the service into the configuration.
	configure func(*process.Config)
}

// run runs the service until a signal.
func (r *remote) run(a *cli.App) error {
	log, err := r.process.Logger()
	if err != nil {
		return err
	}
	p := process.New(log)
	if err = r.serve(a.Ctx, p); a.Stopped(err) {
		err = nil // a signal during the start
	}
	return errors.Join(err, p.Shutdown(time.Duration(r.process.StopTimeout)))
}

func (r *remote) serve(ctx context.Context, p *process.Process) error {
	config := process.Config{Connect: func(role string) (*nats.Conn, error) {
		return connectPatiently(ctx, r.flags.NATS, role, p.Log)
	}}
	if err := p.Observe(ctx, r.role, r.flags.HTTP); err != nil {
		return err
	}
	if r.store != nil {
		if err := p.OpenStore(ctx, *r.store, &config); err != nil {
			return err
		}
	}
	if r.memory > 0 {
		p.LimitMemory(r.memory)
	}
	config.Replicas = int(r.process.Replicas)
	r.configure(&config)
	services, err := p.Start(ctx, config, r.role)
	if err != nil {
		return err
	}
	about := []zap.Field{zap.String("role", r.role), zap.String("nats", cli.Redact(r.flags.NATS)), zap.String("http", p.HTTPAddress())}
	if r.store != nil {
		about = append(about, zap.String("store", string(r.store.Location)))
	}
	p.Log.Info("ready", about...)
	if r.role == process.Replicator {
		// The line is logged always: a NATS client cannot see how the server syncs, only
		// the monitoring port and the system account can.
		p.Log.Info("acknowledged records survive a power loss only if the NATS server syncs each write: its configuration must say jetstream { sync_interval: always }")
	}
	return p.Wait(ctx, services)
}

// connectPatiently tries until it is connected or ctx ends, because services and
// NATS are started together and in any order. It returns at once if waiting cannot
// help: the URL is wrong or NATS rejects the credentials.
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
