package main

import (
	"fmt"
	"runtime/debug"

	"github.com/nats-io/nats-server/v2/server"

	"laneway.dev/cmd/laneway/cli"
)

type versionCommand struct{}

// Help implements kong.HelpProvider.
func (*versionCommand) Help() string {
	return `Example:

    laneway version`
}

// Run prints what this binary was built from.
func (*versionCommand) Run(a *cli.App) error {
	version, goVersion := "(unknown)", "(unknown)"
	if build, ok := debug.ReadBuildInfo(); ok {
		version, goVersion = build.Main.Version, build.GoVersion
	}
	_, err := fmt.Fprintf(a.Stdout, "laneway %s, NATS server %s, %s\n", version, server.VERSION, goVersion)
	return err
}
