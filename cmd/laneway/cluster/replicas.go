package cluster

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/membership"
	"laneway.dev/internal/replication"
	"laneway.dev/pkg/client"
)

// look looks at the streams of Laneway.
func look(ctx context.Context, laneway *client.Client) (replication.Report, error) {
	js, err := jetstream.New(laneway.Conn())
	if err != nil {
		return replication.Report{}, err
	}
	return replication.Look(ctx, js)
}

// sayReplication prints which streams are not replicated as they should be.
func sayReplication(out io.Writer, report replication.Report) error {
	for _, s := range report.Unmet {
		if err := cli.Say(out, "%s: %s; what to do: %s\n", cli.Printable(s.Name), lacks(s, report.Replicas), remedy(s, report.Replicas)); err != nil {
			return err
		}
	}
	return nil
}

// lacks says what a stream has, and what it should have.
func lacks(s replication.Stream, wanted int) string {
	var parts []string
	if s.Silent != nil {
		parts = append(parts, fmt.Sprintf("it cannot be read or written (%v)", s.Silent))
	}
	if s.Configured < wanted && s.Configured > 0 {
		parts = append(parts, fmt.Sprintf("it is kept on %s, and should be on %d", cli.Count(s.Configured, "NATS server"), wanted))
	}
	if s.Current < s.Configured && s.Silent == nil {
		parts = append(parts, fmt.Sprintf("%d of its %s are up to date", s.Current, cli.Count(s.Configured, "replica")))
	}
	if len(s.Unreachable) > 0 {
		parts = append(parts, "not reachable: "+strings.Join(s.Unreachable, ", "))
	}
	for _, server := range slices.Sorted(maps.Keys(s.Behind)) {
		if lag := s.Behind[server]; lag > 0 {
			parts = append(parts, fmt.Sprintf("%s lacks %s", server, cli.Count(int64(lag), "operation")))
		} else {
			parts = append(parts, server+" does not say how much it has")
		}
	}
	return strings.Join(parts, "; ")
}

// remedy says what an operator does about a stream. Servers come first, because a stream that lacks one cannot get
// another replica either.
func remedy(s replication.Stream, wanted int) string {
	switch {
	case len(s.Unreachable) > 0:
		return fmt.Sprintf("start %s again, or another NATS server with the same name, which copies the stream", strings.Join(s.Unreachable, " and "))
	case s.Silent != nil:
		return "wait some seconds for an election; if that does not help, start the NATS servers that have the stream"
	case s.Configured < wanted && s.ByTopics:
		return fmt.Sprintf("the topics in it were created with --replicas %d, which cannot be changed; if that is too few, create others and copy the records", s.Configured)
	case s.Configured < wanted:
		if bucket, is := strings.CutPrefix(s.Name, "KV_"); is {
			return fmt.Sprintf("nats kv edit %s --replicas %d", bucket, wanted)
		}
		return fmt.Sprintf("nats stream edit %s --replicas %d", s.Name, wanted)
	}
	return "wait until they are; if that takes long, see the logs of the NATS servers"
}

// saySyncs prints which NATS servers do not sync each write, and for which that cannot be seen. servers are those that
// are known to be there.
func saySyncs(out io.Writer, laneway *client.Client, servers []string, members []membership.Listed) error {
	if slices.ContainsFunc(members, func(m membership.Listed) bool { return strings.HasPrefix(m.Instance, cli.ServePlace) }) {
		return nil // its NATS server always does
	}
	always, err := replication.Syncs(laneway.Conn())
	if err != nil {
		return err
	}
	const setting = "jetstream { sync_interval: always }"
	for _, server := range slices.Sorted(maps.Keys(always)) {
		if always[server] {
			continue
		}
		err = cmp.Or(err, cli.Say(out, "NATS server %s acknowledges writes before they are on disk, so acknowledged records may be lost with the power; what to do: set %s in its configuration, and restart it\n",
			cli.Printable(server), setting))
	}
	unseen := slices.DeleteFunc(slices.Clone(servers), func(server string) bool { _, seen := always[server]; return seen })
	switch {
	case len(always) == 0:
		return cmp.Or(err, cli.Say(out, "whether the NATS servers sync each write cannot be seen by this user; what to do: check that their configuration has %s, see docs/operation.md\n", setting))
	case len(unseen) > 0:
		return cmp.Or(err, cli.Say(out, "whether these NATS servers sync each write cannot be seen: %s; what to do: check that their configuration has %s, see docs/operation.md\n",
			strings.Join(unseen, ", "), setting))
	}
	return err
}
