package main

import (
	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/roles"
)

type replicatorCommand struct {
	remoteFlags
	replicatorFlags
	processFlags
}

// Help implements kong.HelpProvider.
func (*replicatorCommand) Help() string {
	return `Example:

    laneway replicator --nats nats://127.0.0.1:4222`
}

// Run runs a replicator until a signal.
func (c *replicatorCommand) Run(a *cli.App) error {
	service := remote{role: roles.Replicator, flags: c.remoteFlags, process: c.processFlags}
	service.configure = func(config *roles.Config) { c.apply(config) }
	return service.run(a)
}
