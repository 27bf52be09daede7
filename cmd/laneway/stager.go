package main

import (
	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/roles"
)

type stagerCommand struct {
	remoteFlags
	storeFlag
	stagerFlags
	processFlags
}

// Help implements kong.HelpProvider.
func (*stagerCommand) Help() string {
	return `Example:

    laneway stager --nats nats://127.0.0.1:4222 --store file:///tmp/laneway-objects`
}

// Run runs a stager until a signal.
func (c *stagerCommand) Run(a *cli.App) error {
	faults, err := c.faults()
	if err != nil {
		return err
	}
	service := remote{
		role: roles.Stager, flags: c.remoteFlags, process: c.processFlags, memory: c.memory(),
		store: &storeUse{location: string(c.Store), adopt: c.AdoptStore, reserve: int64(c.StoreReserve)},
	}
	service.configure = func(config *roles.Config) { c.apply(config, faults) }
	return service.run(a)
}
