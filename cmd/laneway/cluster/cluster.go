// Package cluster is the command laneway cluster, which shows the instances of the services.
package cluster

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/membership"
	"laneway.dev/pkg/client"
)

// Command is laneway cluster.
type Command struct {
	Status Status `cmd:"" help:"Show the instances of all roles."`
}

// Status is laneway cluster status.
type Status struct {
	cli.ServerFlag
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Help implements kong.HelpProvider.
func (*Status) Help() string {
	return `An instance is one start of a role in a process; laneway serve has one of each role. An instance that has died is listed for 2 s more. STATE is "draining" while an instance
answers what it has taken and takes nothing new. It needs the same full rights to NATS as the services.

Examples:

    laneway cluster status

    laneway cluster status --json`
}

// Run shows the instances.
func (c *Status) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		js, err := jetstream.New(laneway.Conn())
		if err != nil {
			return err
		}
		members, err := membership.List(ctx, js)
		if err != nil {
			return err
		}
		if c.JSON {
			return cli.WriteJSON(a.Stdout, append([]membership.Listed{}, members...))
		}
		return show(a.Stdout, members, time.Now())
	})
}

func show(out io.Writer, members []membership.Listed, now time.Time) error {
	// Flush reports the errors of all writes.
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ROLE\tINSTANCE\tVERSION\tSTARTED\tSTATE")
	for _, m := range members {
		state := "running"
		if m.Draining {
			state = "draining"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
			cli.Printable(m.Role), cli.Printable(m.Instance), cli.Printable(m.Version), humanize.RelTime(m.Since, now, "ago", "from now"), state)
	}
	return table.Flush()
}
