package main

import (
	"laneway.dev/cmd/laneway/roles"
	"laneway.dev/internal/objectstore"
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
func (c *stagerCommand) Run(a *app) error {
	faults, err := c.faults()
	if err != nil {
		return err
	}
	service := remote{
		role: roles.Stager, flags: c.remoteFlags, process: c.processFlags, store: string(c.Store), reserve: int64(c.StoreReserve), memory: c.memory(),
	}
	service.configure = func(config *roles.Config, store objectstore.Store) { c.apply(config, store, faults) }
	return service.run(a)
}
