package main

import (
	"fmt"

	"github.com/nats-io/nats-server/v2/server"

	"laneway.dev/cmd/laneway/cli"
)

// natsServerCommand is what bench compares Laneway with, of the very version
// that is embedded.
type natsServerCommand struct {
	File string `arg:"" help:"Configuration file of the NATS server."`
}

// Help implements kong.HelpProvider.
func (*natsServerCommand) Help() string {
	return `The server of NATS, unchanged, of the version that laneway serve embeds.

Example:

    laneway nats-server deploy/nats/nats-server.conf`
}

// Run runs the server until a signal.
func (c *natsServerCommand) Run(a *cli.App) error {
	options, err := server.ProcessConfigFile(c.File)
	if err != nil {
		return cli.Misuse("%w", err)
	}
	options.NoSigs = true
	nats, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("setting up the NATS server: %w", err)
	}
	nats.ConfigureLogger()
	nats.Start()
	<-a.Ctx.Done()
	nats.Shutdown()
	nats.WaitForShutdown()
	return nil
}
