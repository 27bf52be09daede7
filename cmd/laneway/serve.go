package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/roles"
	"laneway.dev/internal/embedded"
	"laneway.dev/internal/fault"
	"laneway.dev/internal/transport"
)

type serveCommand struct {
	Listen string            `default:"127.0.0.1:4222" help:"Where NATS listens; port 0 takes a free one."`
	HTTP   string            `name:"http" default:"127.0.0.1:8090" help:"Where /healthz, /readyz and /metrics are served; nowhere if empty."`
	Data   string            `default:"./laneway-data" help:"Data folder; it is created if need be."`
	Store  cli.StoreLocation `placeholder:"URL" help:"The object store: file:///absolute/path or a path. By default the folder objects in the data folder."`

	StartTimeout cli.Period `default:"30s" help:"How long NATS may restore streams without a word in its log, besides a second for each 16 MiB of them, and how long the services may wait for it after that, before the start ends with an error."`

	adoptFlag
	heartbeatFlag
	frontendFlags
	stagerFlags
	replicatorFlags
	processFlags
}

// Help implements kong.HelpProvider.
func (*serveCommand) Help() string {
	return `Everything that is acknowledged is on disk. The process says "ready" in its log when producers and consumers may come. It stops cleanly on SIGINT or SIGTERM; a second signal ends it at once.

Example:

    laneway serve --data /tmp/laneway-example`
}

// Run runs the services until a signal.
func (c *serveCommand) Run(a *cli.App) error {
	log, err := c.logger()
	if err != nil {
		return err
	}
	p := newProcess(log)
	if err = c.serve(a.Ctx, p); a.Stopped(err) {
		err = nil // during the start
	}
	bound := time.Duration(c.StopTimeout)
	if errors.Is(err, embedded.ErrStorage) {
		bound = min(bound, brokenStop)
	}
	return errors.Join(err, p.shutdown(bound))
}

// brokenStop bounds the stop when JetStream has stopped writing: what is not in
// the log by then never gets there.
const brokenStop = 2 * time.Second

func (c *serveCommand) serve(ctx context.Context, p *process) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := c.serveUntil(ctx, p, cancel)
	if cause := context.Cause(ctx); errors.Is(cause, embedded.ErrStorage) {
		return cli.Advise(cause, storageAdvice(cause))
	}
	return err
}

// storageAdvice says what to do when JetStream has stopped writing. It stops also when it
// cannot read what a write takes the place of, which the next start does not mend.
func storageAdvice(cause error) string {
	if strings.Contains(cause.Error(), "corrupt message") {
		return "restore the folder of the stream that is named from a copy"
	}
	return "start it again; everything that was acknowledged is there"
}

// serveUntil serves until ctx ends; broken ends it with a reason.
func (c *serveCommand) serveUntil(ctx context.Context, p *process, broken func(error)) error {
	server, services, err := c.start(ctx, p, broken)
	if err != nil {
		return err
	}
	p.log.Info("ready", zap.String("nats", server.ClientURL()), zap.String("http", p.http.Addr()),
		zap.String("data", c.Data), zap.String("store", c.storeLocation()))
	return p.wait(ctx, services)
}

// start starts everything; the process stops it, also after an error.
func (c *serveCommand) start(ctx context.Context, p *process, broken func(error)) (*embedded.Server, *roles.Running, error) {
	faults, err := c.faults()
	if err != nil {
		return nil, nil, err
	}
	claim, err := embedded.NewClaim(embedded.Options{
		Listen: c.Listen, Data: c.Data, StartTimeout: time.Duration(c.StartTimeout), Logger: p.log, OnBroken: broken,
	})
	if err != nil {
		return nil, nil, err
	}
	// The pages are served while streams are restored, which may take long.
	if err := p.observe(ctx, "serve", c.HTTP); err != nil {
		return nil, nil, errors.Join(err, claim.Release())
	}
	server, err := claim.Start(ctx)
	if err != nil {
		return nil, nil, startAdvice(err)
	}
	p.onStop("NATS", func(context.Context) error { return server.Shutdown() })
	config := c.roles(p, server, faults)
	store := storeUse{location: c.storeLocation(), adopt: c.AdoptStore, reserve: int64(c.StoreReserve)}
	if err := store.open(p, &config); err != nil {
		return nil, nil, err
	}
	p.limitMemory(c.frontendFlags.memory() + c.stagerFlags.memory())
	starting, cancel := context.WithTimeoutCause(ctx, time.Duration(c.StartTimeout), errServicesHang)
	defer cancel()
	services, err := p.start(starting, config, roles.All()...)
	if err != nil {
		return nil, nil, startAdvice(err)
	}
	p.pages.Register("nats", server.Check)
	return server, services, nil
}

// errServicesHang ends the start of services that JetStream does not answer.
var errServicesHang = errors.New("JetStream has not answered in time")

// startAdvice says what to do about a server that cannot start.
func startAdvice(err error) error {
	switch {
	case errors.Is(err, embedded.ErrBlock):
		return cli.Advise(err, "restore the folder of the stream that is named from a copy; nothing in the data folder was changed")
	case errors.Is(err, errServicesHang):
		return cli.Advise(err, "JetStream has started, and does not answer or does not write: see its lines in the log; if its disk is very slow, give a longer --start-timeout")
	case errors.Is(err, embedded.ErrStartHangs):
		return cli.Advise(err, "restore the folders of the streams that are named from a copy; if their disk is very slow, give a longer --start-timeout")
	}
	return err
}

func (c *serveCommand) storeLocation() string {
	if c.Store == "" {
		return filepath.Join(c.Data, "objects")
	}
	return string(c.Store)
}

func (c *serveCommand) roles(p *process, server *embedded.Server, faults *fault.Faults) roles.Config {
	config := roles.Config{Connect: func(role string) (*nats.Conn, error) {
		return server.Connect(transport.Options("laneway-"+role, p.log.Named(role))...)
	}}
	c.frontendFlags.apply(&config, c.heartbeatFlag)
	c.stagerFlags.apply(&config, faults)
	config.Sequencer.Heartbeat = time.Duration(c.Heartbeat)
	c.replicatorFlags.apply(&config)
	return config
}
