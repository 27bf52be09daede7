package main

import (
	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/roles"
)

type frontendCommand struct {
	remoteFlags
	storeFlag
	heartbeatFlag
	frontendFlags
	processFlags
}

// Help implements kong.HelpProvider.
func (*frontendCommand) Help() string {
	return `Example:

    laneway frontend --nats nats://127.0.0.1:4222 --store file:///tmp/laneway-objects --http 127.0.0.1:8091`
}

// Run runs a frontend until a signal.
func (c *frontendCommand) Run(a *cli.App) error {
	service := remote{
		role: roles.Frontend, flags: c.remoteFlags, process: c.processFlags, memory: c.memory(),
		store: &storeUse{location: string(c.Store), adopt: c.AdoptStore},
	}
	service.configure = func(config *roles.Config) { c.apply(config, c.heartbeatFlag) }
	return service.run(a)
}
