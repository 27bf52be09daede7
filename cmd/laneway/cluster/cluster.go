// Package cluster is the command laneway cluster, which shows the instances of the services, and what is not replicated
// as it should be.
package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
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
	Status Status `cmd:"" help:"Show the instances of all roles, and what is not replicated as it should be."`
	Drain  Drain  `cmd:"" help:"Make an instance hand over its logs."`
}

// Status is laneway cluster status.
type Status struct {
	cli.ServerFlag
	JSON  bool `name:"json" help:"Print the instances as a JSON array, with --watch one on each line."`
	Watch bool `help:"Show them again each second, until the command is interrupted."`
}

// Help implements kong.HelpProvider.
func (*Status) Help() string {
	return `An instance is one start of a role in a process; laneway serve has one of each role. LOGS are those that the instance owns; sequencers share the logs, and so do replicators. STATE is "draining" while
an instance answers what it has taken and takes nothing new, and "gone" if it owns logs and nothing has been heard of it for 2 s: another one takes them over then. It needs the same full rights to NATS as the services.

Below the instances, there is a line for each JetStream stream of Laneway that is kept on fewer NATS servers than this Laneway keeps everything on (--replicas of laneway serve), or whose replicas are not all up to date.
A line says which NATS servers do not sync each write, or that this cannot be seen; with --watch it is left out. With --json, these lines are printed on standard error. They do not change the exit code.

Examples:

    laneway cluster status

    laneway cluster status --json

    laneway cluster status --watch`
}

// watchPause is how often --watch shows the instances.
const watchPause = time.Second

// Run shows the instances.
func (c *Status) Run(a *cli.App) error {
	if !c.Watch {
		return c.Administer(a, func(ctx context.Context, laneway *client.Client) error { return c.once(ctx, a, laneway) })
	}
	pace := time.NewTicker(watchPause)
	defer pace.Stop()
	for {
		err := c.Administer(a, func(ctx context.Context, laneway *client.Client) error { return c.once(ctx, a, laneway) })
		switch {
		case a.Ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-pace.C:
		case <-a.Ctx.Done():
			return nil
		}
	}
}

// once shows the instances as they are now.
func (c *Status) once(ctx context.Context, a *cli.App, laneway *client.Client) error {
	report, lookErr := look(ctx, laneway)
	members, err := list(ctx, laneway)
	if err != nil {
		return errors.Join(err, sayReplication(a.Stderr, report)) // which may be the reason
	}
	if err := c.show(a, members); err != nil {
		return err
	}
	out := a.Stdout
	if c.JSON {
		out = a.Stderr
	}
	if err := errors.Join(lookErr, sayReplication(out, report)); err != nil || c.Watch {
		return err
	}
	return saySyncs(out, laneway, report.Servers, members)
}

// show shows the instances.
func (c *Status) show(a *cli.App, members []membership.Listed) error {
	switch {
	case c.JSON && c.Watch:
		return json.NewEncoder(a.Stdout).Encode(append([]membership.Listed{}, members...))
	case c.JSON:
		return cli.WriteJSON(a.Stdout, append([]membership.Listed{}, members...))
	case c.Watch:
		if _, err := fmt.Fprintln(a.Stdout, time.Now().Format(time.TimeOnly)); err != nil {
			return err
		}
	}
	return show(a.Stdout, members, time.Now())
}

func list(ctx context.Context, laneway *client.Client) ([]membership.Listed, error) {
	js, err := jetstream.New(laneway.Conn())
	if err != nil {
		return nil, err
	}
	return membership.List(ctx, js)
}

func show(out io.Writer, members []membership.Listed, now time.Time) error {
	// Flush reports the errors of all writes.
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ROLE\tINSTANCE\tVERSION\tSTARTED\tSTATE\tLOGS")
	for _, m := range members {
		state, started := "running", "-"
		switch {
		case m.Gone:
			state = "gone"
		case m.Draining:
			state = "draining"
		}
		if !m.Since.IsZero() {
			started = humanize.RelTime(m.Since, now, "ago", "from now")
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
			cli.Printable(m.Role), cli.Printable(m.Instance), cmp.Or(cli.Printable(m.Version), "-"), started, state, ranges(m.Logs))
	}
	return table.Flush()
}

// ranges returns sorted numbers as 0-3,7; - if there are none.
func ranges(numbers []int) string {
	var text strings.Builder
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(strconv.Itoa(numbers[i]))
		if last > i {
			text.WriteString("-" + strconv.Itoa(numbers[last]))
		}
		i = last + 1
	}
	return cmp.Or(text.String(), "-")
}
