package main

import (
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/roles"
)

type sequencerCommand struct {
	remoteFlags
	heartbeatFlag
	processFlags
}

// Help implements kong.HelpProvider.
func (*sequencerCommand) Help() string {
	return `Example:

    laneway sequencer --nats nats://127.0.0.1:4222`
}

// Run runs a sequencer until a signal.
func (c *sequencerCommand) Run(a *cli.App) error {
	service := remote{role: roles.Sequencer, flags: c.remoteFlags, process: c.processFlags}
	service.configure = func(config *roles.Config) {
		config.Sequencer.Heartbeat = time.Duration(c.Heartbeat)
	}
	return service.run(a)
}
