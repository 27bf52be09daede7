package store

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/storecheck"
)

// Usage is laneway store usage.
type Usage struct {
	Store cli.StoreLocation `arg:"" optional:"" default:"./laneway-data/objects" env:"LANEWAY_STORE" help:"The object store: a path, or a URL such as s3://bucket/prefix; see docs/stores.md (default: ${default})."`
	NATS  string            `name:"nats" env:"LANEWAY_NATS,NATS_URL" default:"nats://127.0.0.1:4222" placeholder:"URL" help:"The NATS servers with the logs (default: ${default})."`
	JSON  bool              `name:"json" help:"Print a JSON object."`
}

// Help implements kong.HelpProvider.
func (*Usage) Help() string {
	return `Reads all logs, lists the store, and prints what the stored bytes are used for:

    live       batches to which a log refers, and the segments of its history
    other      heads, indexes and unused batches in the same objects; manifests
    waiting    objects to which no log refers: those of batches that are
               archived, of deleted topics, of batches that were sent twice or
               rejected; segments and manifests that were replaced or dropped.
               Sweeps delete them. Objects of batches still under way are
               counted here until a log refers to them

For each topic, it prints the bytes of its batches as they are stored, and those of its segments. It reads no objects but manifests, changes
nothing, and works while Laneway runs.
It needs the same full rights to NATS as the services.

If the last sweep was not complete, the output gives the reason, and the time since which no sweep was complete. It also shows an alarm, if one is set.

The exit code is 1 if objects or the marker of the store are missing, or if topics, logs or parts of the store cannot be read. The figures are then incomplete,
and laneway store verify says what is lost. The exit code is 6 if the store is not that of the given server.

Examples:

    laneway store usage

    laneway store usage 's3://bucket/prefix?region=eu-central-1' --nats nats://127.0.0.1:4222 --json`
}

// Run prints the usage.
func (c *Usage) Run(a *cli.App) error {
	candidate, err := open(a, c.Store)
	if err != nil {
		return err
	}
	defer func() { _ = candidate.Store.Close() }()
	laneway, err := cli.Connect(c.NATS, "--nats")
	if err != nil {
		return err
	}
	defer laneway.Close()
	checker := storecheck.Checker{Store: candidate, Conn: laneway.Conn()}
	if checker.JS, err = jetstream.New(checker.Conn); err != nil {
		return err
	}
	activity := cli.NewActivity(a.Stderr)
	waiting := cli.AwaitStore(a.Stderr, c.Store)
	checker.Progress = func(p storecheck.Progress) {
		waiting.End()
		activity.Show(fmt.Sprintf("read %s of logs, listed %s", cli.Count(p.Entries, "entry"), cli.Count(p.Objects, "object")))
	}
	usage, err := checker.Usage(a.Ctx)
	waiting.End()
	activity.Close()
	if err != nil {
		return cli.ExplainStore(c.Store, err)
	}
	return errors.Join(show(a, c.JSON, usage, describeUsage(usage)), incomplete(usage))
}

func describeUsage(u *storecheck.Usage) string {
	var text strings.Builder
	write(&text, "object store %s\n", u.Place)
	for _, problem := range u.Problems {
		write(&text, "  ! %s\n", problem)
	}
	if u.Alarm != "" {
		write(&text, "  ! %s: nothing is deleted, because the logs and the store are not from the same time; see \"Backups\" in docs/operation.md\n", u.Alarm)
	}
	if s := u.Sweeps; s != nil {
		write(&text, "  ! no sweep was complete since %s: %s\n", s.Since.Format(time.RFC3339), s.Reason)
	}
	if u.MissingObjects > 0 {
		write(&text, "  ! logs refer to %s that the store does not have\n", cli.Count(u.MissingObjects, "object"))
	}
	// The table is written to memory, which cannot fail.
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "  stored\t%s\t%s\n", bytes(u.Bytes), cli.Count(u.Objects, "object"))
	_, _ = fmt.Fprintf(table, "  live\t%s\tbatches and segments that logs refer to\n", bytes(u.LiveBytes))
	_, _ = fmt.Fprintf(table, "  other\t%s\theads, indexes and unused batches in the same objects; manifests\n", bytes(u.OtherBytes))
	_, _ = fmt.Fprintf(table, "  waiting\t%s\t%s that no log needs, so that sweeps delete them\n", bytes(u.Waiting.Bytes), cli.Count(u.Waiting.Objects, "object"))
	_ = table.Flush()
	if len(u.Topics) == 0 {
		return text.String()
	}
	write(&text, "\n")
	_, _ = fmt.Fprintln(table, "TOPIC\tPARTITIONS\tBATCHES\tRECORDS\tBYTES\tIN LOG\tSEGMENTS\tARCHIVED RECORDS\tSEGMENT BYTES\tWAITING BYTES")
	for _, t := range u.Topics {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\t%d\t%d\t%s\t%s\n", t.Topic, t.Partitions, t.Batches, t.Records, bytes(t.Bytes), bytes(t.InlineBytes),
			t.Segments, t.ArchivedRecords, bytes(t.SegmentBytes), bytes(t.Waiting.Bytes))
	}
	_ = table.Flush()
	return text.String()
}

// incomplete returns an error if a usage has problems or missing objects, and nil otherwise.
func incomplete(u *storecheck.Usage) error {
	if len(u.Problems) == 0 && u.MissingObjects == 0 {
		return nil
	}
	return cli.Advise(errors.New("the figures may be incomplete: objects or the marker are missing, or topics, logs or parts of the store cannot be read"),
		"see what is lost with: laneway store verify URL --nats URL")
}
