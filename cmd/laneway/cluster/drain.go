package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/membership"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// Drain is laneway cluster drain.
type Drain struct {
	cli.ServerFlag
	Instance string `arg:"" help:"The instance, as laneway cluster status names it."`
}

// Help implements kong.HelpProvider.
func (*Drain) Help() string {
	return `The instance hands its logs over to other instances of the same role, and gets none any more. It goes on running, so stop it afterwards. SIGTERM does both. It needs the same full rights to NATS as the
services.

Example:

    laneway cluster drain host-7f3k9dQa`
}

// drainPause is how often the command looks whether the instance has handed over.
const drainPause = 200 * time.Millisecond

// Run drains the instance, and returns when it owns nothing any more.
func (c *Drain) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		members, err := list(ctx, laneway)
		if err != nil {
			return err
		}
		own := slices.DeleteFunc(slices.Clone(members), func(m membership.Listed) bool { return m.Instance != c.Instance || len(m.Logs) == 0 })
		for _, m := range own {
			if !slices.ContainsFunc(members, func(o membership.Listed) bool {
				return o.Role == m.Role && o.Instance != m.Instance && !o.Gone && !o.Draining
			}) {
				return protocol.Errorf(protocol.CodeUnavailable, "no other %s runs that could take the logs of %s", m.Role, c.Instance)
			}
		}
		for _, m := range own {
			if err := membership.Drain(ctx, laneway.Conn(), m.Role, m.Instance); err != nil {
				return err
			}
		}
		if len(own) == 0 {
			return protocol.Errorf(protocol.CodeInvalidRequest, "no instance %.80q owns logs; laneway cluster status lists those that do", c.Instance)
		}
		if err := c.await(ctx, laneway); err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.Stdout, "%s owns no logs any more\n", cli.Printable(c.Instance))
		return err
	})
}

// await returns when the instance owns nothing.
func (c *Drain) await(ctx context.Context, laneway *client.Client) error {
	pace := time.NewTicker(drainPause)
	defer pace.Stop()
	for {
		members, err := list(ctx, laneway)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(members, func(m membership.Listed) bool { return m.Instance == c.Instance && len(m.Logs) > 0 }) {
			return nil
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return protocol.Errorf(protocol.CodeUnavailable, "%s has not handed all logs over yet; it goes on", c.Instance)
		}
	}
}
