// Package roles has the commands that run one service each: laneway frontend,
// stager, sequencer, replicator and archiver. Together with a NATS server they are a Laneway
// of several processes.
//
// A command waits for NATS and the other services for as long as it takes, so the
// processes can start in any order. It never starts a NATS server.
package roles

import (
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/process"
)

// remoteFlags are the flags of every service in a process of its own.
type remoteFlags struct {
	NATS string `name:"nats" required:"" env:"LANEWAY_NATS,NATS_URL" placeholder:"URL" help:"The NATS servers."`
	HTTP string `name:"http" placeholder:"ADDRESS" help:"Where to serve /healthz, /readyz and /metrics, such as 127.0.0.1:8090; nowhere if not given."`
}

// storeFlags are the flags of the services that use the object store.
type storeFlags struct {
	Store cli.StoreLocation `required:"" placeholder:"URL" help:"The object store, the same for frontends, stagers and archivers: a path, or a URL such as s3://bucket/prefix; see docs/stores.md."`
	process.AdoptFlag
}

// Frontend is laneway frontend.
type Frontend struct {
	remoteFlags
	storeFlags
	process.HeartbeatFlag
	process.FrontendFlags
	process.Flags
}

// Help implements kong.HelpProvider.
func (*Frontend) Help() string {
	return `Example:

    laneway frontend --nats nats://127.0.0.1:4222 --store file:///tmp/laneway-objects --http 127.0.0.1:8091`
}

// Run runs a frontend until a signal.
func (c *Frontend) Run(a *cli.App) error {
	service := remote{
		role: process.Frontend, flags: c.remoteFlags, process: c.Flags, memory: c.Memory(),
		store: &process.Store{Location: c.Store, Adopt: c.AdoptStore},
	}
	service.configure = func(config *process.Config) { c.Apply(config, c.HeartbeatFlag) }
	return service.run(a)
}

// Stager is laneway stager.
type Stager struct {
	remoteFlags
	storeFlags
	process.ReserveFlag
	process.StagerFlags
	process.Flags
}

// Help implements kong.HelpProvider.
func (*Stager) Help() string {
	return `Example:

    laneway stager --nats nats://127.0.0.1:4222 --store file:///tmp/laneway-objects`
}

// Run runs a stager until a signal.
func (c *Stager) Run(a *cli.App) error {
	faults, err := c.Faults()
	if err != nil {
		return err
	}
	service := remote{
		role: process.Stager, flags: c.remoteFlags, process: c.Flags, memory: c.Memory(),
		store: &process.Store{Location: c.Store, Adopt: c.AdoptStore, Reserve: int64(c.StoreReserve)},
	}
	service.configure = func(config *process.Config) { c.Apply(config, faults, c.Store.Remote()) }
	return service.run(a)
}

// Sequencer is laneway sequencer.
type Sequencer struct {
	remoteFlags
	process.HeartbeatFlag
	process.Flags
}

// Help implements kong.HelpProvider.
func (*Sequencer) Help() string {
	return `Example:

    laneway sequencer --nats nats://127.0.0.1:4222`
}

// Run runs a sequencer until a signal.
func (c *Sequencer) Run(a *cli.App) error {
	service := remote{role: process.Sequencer, flags: c.remoteFlags, process: c.Flags}
	service.configure = func(config *process.Config) {
		config.Sequencer.Heartbeat = time.Duration(c.Heartbeat)
	}
	return service.run(a)
}

// Replicator is laneway replicator.
type Replicator struct {
	remoteFlags
	process.ReplicatorFlags
	process.Flags
}

// Help implements kong.HelpProvider.
func (*Replicator) Help() string {
	return `Example:

    laneway replicator --nats nats://127.0.0.1:4222`
}

// Run runs a replicator until a signal.
func (c *Replicator) Run(a *cli.App) error {
	service := remote{role: process.Replicator, flags: c.remoteFlags, process: c.Flags}
	service.configure = func(config *process.Config) { c.Apply(config) }
	return service.run(a)
}

// Archiver is laneway archiver.
type Archiver struct {
	remoteFlags
	storeFlags
	process.ReserveFlag
	process.ArchiverFlags
	process.Flags
}

// Help implements kong.HelpProvider.
func (*Archiver) Help() string {
	return `Example:

    laneway archiver --nats nats://127.0.0.1:4222 --store file:///tmp/laneway-objects`
}

// Run runs an archiver until a signal.
func (c *Archiver) Run(a *cli.App) error {
	service := remote{
		role: process.Archiver, flags: c.remoteFlags, process: c.Flags, memory: c.Memory(),
		store: &process.Store{Location: c.Store, Adopt: c.AdoptStore, Reserve: int64(c.StoreReserve)},
	}
	service.configure = func(config *process.Config) { c.Apply(config) }
	return service.run(a)
}
