// Package version is the command laneway version, which prints the versions of Laneway,
// the embedded NATS server and Go. It asks no running process for its version.
package version

import (
	"fmt"
	"runtime"

	"github.com/nats-io/nats-server/v2/server"

	"laneway.dev/cmd/laneway/cli"
)

// Command is laneway version.
type Command struct{}

// Help implements kong.HelpProvider.
func (*Command) Help() string {
	return `Example:

    laneway version`
}

// Run prints the versions that this binary was built from.
func (*Command) Run(a *cli.App) error {
	_, err := fmt.Fprintf(a.Stdout, "laneway %s, NATS server %s, %s\n", cli.Version(), server.VERSION, runtime.Version())
	return err
}
