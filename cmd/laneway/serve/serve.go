// Package serve is the command laneway serve, which runs NATS with JetStream and
// the five services in one process, with all data below one folder.
//
// It starts and stops them in the right order and explains what went wrong. It
// decides nothing about batches.
package serve

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/process"
	"laneway.dev/internal/embedded"
	"laneway.dev/internal/fault"
	"laneway.dev/internal/transport"
)

// Command is laneway serve.
type Command struct {
	Listen string            `default:"127.0.0.1:4222" help:"Where NATS listens; port 0 takes a free one."`
	HTTP   string            `name:"http" default:"127.0.0.1:8090" help:"Where /healthz, /readyz and /metrics are served; nowhere if empty."`
	Data   string            `default:"./laneway-data" help:"Data folder; it is created if need be."`
	Store  cli.StoreLocation `placeholder:"URL" help:"The object store: a path, or a URL such as s3://bucket/prefix; see docs/stores.md. By default, the folder 'objects' in the data folder."`

	StartTimeout cli.Period `default:"30s" help:"How long NATS may restore streams without a line in its log, plus a second for each 16 MiB of them, and how long the services may wait for NATS after that. If either takes longer, the start fails."`

	process.AdoptFlag
	process.HeartbeatFlag
	process.FrontendFlags
	process.StagerFlags
	process.ReplicatorFlags
	process.ReserveFlag
	process.ArchiverFlags
	process.Flags
}

// Help implements kong.HelpProvider.
func (*Command) Help() string {
	return `Everything that is acknowledged is on disk. The process logs "ready" when it accepts producers and consumers. It stops cleanly on SIGINT or SIGTERM; a second signal ends it at once.

Example:

    laneway serve --data /tmp/laneway-example`
}

// Run runs the services until a signal.
func (c *Command) Run(a *cli.App) error {
	log, err := c.Logger()
	if err != nil {
		return err
	}
	p := process.New(log)
	if err = c.serve(a.Ctx, p); a.Stopped(err) {
		err = nil // a signal during the start
	}
	bound := time.Duration(c.StopTimeout)
	if errors.Is(err, embedded.ErrStorage) {
		bound = min(bound, brokenStop)
	}
	return errors.Join(err, p.Shutdown(bound))
}

// brokenStop bounds the stop when JetStream has stopped writing. A longer drain is
// pointless, because no batch can be appended to a log after that.
const brokenStop = 2 * time.Second

func (c *Command) serve(ctx context.Context, p *process.Process) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := c.serveUntil(ctx, p, cancel)
	if cause := context.Cause(ctx); errors.Is(cause, embedded.ErrStorage) {
		return cli.Advise(cause, storageAdvice(cause))
	}
	return err
}

// storageAdvice says what to do when JetStream has stopped writing. A restart helps
// after a full disk or an I/O error. It does not help when JetStream has stopped
// because it cannot read a message that a write would replace.
func storageAdvice(cause error) string {
	if strings.Contains(cause.Error(), "corrupt message") {
		return "restore the folder of the stream that is named from a copy"
	}
	return "start it again; everything that was acknowledged is there"
}

// serveUntil serves until ctx ends. JetStream calls broken, which ends ctx with a
// reason, when it can no longer write.
func (c *Command) serveUntil(ctx context.Context, p *process.Process, broken func(error)) error {
	server, services, err := c.Start(ctx, p, broken)
	if err != nil {
		return err
	}
	p.Log.Info("ready", zap.String("nats", server.ClientURL()), zap.String("http", p.HTTPAddress()),
		zap.String("data", c.Data), zap.String("store", string(c.storeLocation())))
	return p.Wait(ctx, services)
}

// Start starts NATS and the services. The process stops them, also after an error.
// JetStream calls broken when it can no longer write; broken may be nil.
func (c *Command) Start(ctx context.Context, p *process.Process, broken func(error)) (*embedded.Server, *process.Services, error) {
	faults, err := c.Faults()
	if err != nil {
		return nil, nil, err
	}
	claim, err := embedded.NewClaim(embedded.Options{
		Listen: c.Listen, Data: c.Data, StartTimeout: time.Duration(c.StartTimeout), Logger: p.Log, OnBroken: broken,
	})
	if err != nil {
		return nil, nil, err
	}
	// The pages are served from here on, because restoring the streams may take long.
	if err := p.Observe(ctx, "serve", c.HTTP); err != nil {
		return nil, nil, errors.Join(err, claim.Release())
	}
	server, err := claim.Start(ctx)
	if err != nil {
		return nil, nil, startAdvice(err)
	}
	p.OnStop("NATS", func(context.Context) error { return server.Shutdown() })
	config := c.config(p, server, faults)
	store := process.Store{Location: c.storeLocation(), Adopt: c.AdoptStore, Reserve: int64(c.StoreReserve)}
	if err := p.OpenStore(ctx, store, &config); err != nil {
		return nil, nil, err
	}
	p.LimitMemory(c.memory())
	starting, cancel := context.WithTimeoutCause(ctx, time.Duration(c.StartTimeout), errServicesHang)
	defer cancel()
	services, err := p.Start(starting, config, process.Roles()...)
	if err != nil {
		return nil, nil, startAdvice(err)
	}
	p.Register("nats", server.Check)
	return server, services, nil
}

// memory returns the bytes that the services may hold. Without archiving the archiver holds
// nothing, and its budget would only let the garbage collector wait longer.
func (c *Command) memory() int64 {
	total := c.FrontendFlags.Memory() + c.StagerFlags.Memory()
	if c.ArchiveBytes > 0 {
		total += c.ArchiverFlags.Memory()
	}
	return total
}

// errServicesHang is the cause when the start of the services takes too long.
var errServicesHang = errors.New("JetStream has not answered in time")

// startAdvice adds advice to the error of a start.
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

func (c *Command) storeLocation() cli.StoreLocation {
	if c.Store == "" {
		return cli.StoreLocation(filepath.Join(c.Data, "objects"))
	}
	return c.Store
}

func (c *Command) config(p *process.Process, server *embedded.Server, faults *fault.Faults) process.Config {
	config := process.Config{Place: cli.ServePlace, Replicas: int(c.Replicas), Connect: func(role string) (*nats.Conn, error) { // the data is locked
		return server.Connect(transport.Options("laneway-"+role, p.Log.Named(role))...)
	}}
	c.FrontendFlags.Apply(&config, c.HeartbeatFlag)
	c.StagerFlags.Apply(&config, faults, c.storeLocation().Remote())
	config.Sequencer.Heartbeat = time.Duration(c.Heartbeat)
	c.ReplicatorFlags.Apply(&config)
	c.ArchiverFlags.Apply(&config)
	return config
}
