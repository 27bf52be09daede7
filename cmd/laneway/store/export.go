package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/recovery"
	"laneway.dev/internal/storeid"
	"laneway.dev/pkg/client"
)

// Export is laneway store export.
type Export struct {
	Store     cli.StoreLocation `arg:"" optional:"" default:"./laneway-data/objects" env:"LANEWAY_STORE" help:"The object store: a path, or a URL such as s3://bucket/prefix; see docs/stores.md (default: ${default})."`
	Topic     string            `placeholder:"NAME" help:"Only this topic."`
	TopicID   uint64            `placeholder:"ID" help:"Only the topic with this id. After a topic was deleted and created again, its name has several ids."`
	Partition int               `default:"-1" placeholder:"N" help:"Only this partition; by default all, one after the other."`
	JSON      bool              `name:"json" help:"Print a JSON object per line, as laneway consume --json does."`
}

// Help implements kong.HelpProvider.
func (*Export) Help() string {
	return `Reads the archived records of a topic from the object store alone, and prints them in the order of their offsets, as laneway consume does.
It needs no NATS and no services, and changes nothing. As long as NATS has the logs, use laneway consume instead: it has all records,
and this command has only those that were archived.

Records that retention or truncation has dropped are left out if their manifest can be read. The offsets without records, and those whose records are damaged or missing, are
named on standard error. The exit code is 1 if something is damaged or missing; all the rest is printed nevertheless.

A store in a bucket names its cluster in its marker. If the marker is lost, add the id of the cluster to the URL: s3://bucket/prefix/CLUSTER_ID.

Examples:

    laneway store export /var/lib/laneway/objects --topic orders > orders.txt

    laneway store export 's3://bucket/prefix?region=eu-central-1' --json > everything.jsonl`
}

// Validate implements kong's check of a command.
func (c *Export) Validate() error {
	if c.Partition < cli.AllPartitions {
		return fmt.Errorf("--partition is %d, it is a partition from 0 on", c.Partition)
	}
	return nil
}

// Run prints the records.
func (c *Export) Run(a *cli.App) error {
	candidate, err := open(a, c.Store)
	if err != nil {
		return err
	}
	defer func() { _ = candidate.Store.Close() }()
	waiting := cli.AwaitStore(a.Stderr, c.Store)
	examined, err := storeid.Examine(a.Ctx, nil, candidate)
	waiting.End()
	if err != nil {
		return cli.ExplainStore(c.Store, err)
	}
	filter := recovery.Filter{Topic: c.Topic, TopicID: c.TopicID}
	if c.Partition != cli.AllPartitions {
		filter.Partition = new(int32(c.Partition))
	}
	activity := cli.NewActivity(a.Stderr)
	found, err := recovery.Find(a.Ctx, examined.Objects, filter, func(objects int) {
		activity.Show("read " + cli.Count(objects, "object"))
	})
	activity.Close()
	if err != nil {
		return cli.ExplainStore(c.Store, err)
	}
	if err := c.check(found, examined.Doubt); err != nil {
		return err
	}
	err = c.print(a, examined, found)
	if errors.Is(err, syscall.EPIPE) {
		return nil // the reader, such as head, has read what it wanted
	}
	return err
}

// check returns an error if there is nothing to print, or if it would not be clear to which topic a
// record belongs.
func (c *Export) check(found *recovery.Found, doubt *storeid.RefusedError) error {
	var names []string
	for _, topic := range found.Topics {
		names = append(names, topic.String())
	}
	all := strings.Join(names, ", ")
	switch {
	case len(found.Topics) == 0:
		err := fmt.Errorf("the object store %s has no archived records", c.Store)
		if len(found.Unreadable) > 0 {
			err = fmt.Errorf("%w that can be read: %w", err, found.Unreadable[0])
		}
		advice := "check the path or URL; records that were not archived are not in segments, see docs/storage.md"
		if doubt != nil {
			advice = "check the path or URL; if the marker of a store in a bucket is lost, add the id of the cluster to the URL: s3://bucket/prefix/CLUSTER_ID"
		}
		return cli.Advise(err, advice)
	case len(found.Partitions) == 0:
		return cli.Advise(fmt.Errorf("the object store %s has no archived records of what was selected", c.Store), "it has records of "+all)
	}
	selected := make(map[string][]uint64)
	for _, p := range found.Partitions {
		if ids := selected[p.ID.Topic]; !slices.Contains(ids, p.ID.TopicID) {
			selected[p.ID.Topic] = append(ids, p.ID.TopicID)
		}
	}
	for name, ids := range selected {
		if len(ids) > 1 {
			return cli.Misuse("the topic %s was deleted and created again: choose one with --topic-id, of %s", name, all)
		}
	}
	if len(selected) > 1 && !c.JSON {
		return cli.Misuse("the object store has records of several topics: choose one with --topic, or give --json, which names the topic of each record; there are %s", all)
	}
	return nil
}

// print prints all records, and returns an error if some are damaged or missing.
func (c *Export) print(a *cli.App, examined *storeid.Examined, found *recovery.Found) (err error) {
	format := cli.PrintLine
	if c.JSON {
		format = cli.PrintJSON
	}
	out := cli.NewPrinter(a.Stdout, format)
	var lost int64
	output := recovery.Output{
		Record: func(r *client.Record) error { return writing(out.Print(r)) },
		Gap: func(g client.Gap) error {
			if g.Err != nil {
				lost += g.Last - g.First + 1
			}
			// An error of this write is ignored: there is no other place to report it.
			_ = cli.Say(a.Stderr, "laneway: %s\n", g)
			return nil
		},
	}
	for _, p := range found.Partitions {
		if err = p.Read(a.Ctx, examined.Objects, output); err != nil {
			break
		}
	}
	if closeErr := out.Close(); err == nil {
		err = writing(closeErr)
	}
	if err != nil {
		return err
	}
	for _, unreadable := range found.Unreadable {
		_ = cli.Say(a.Stderr, "laneway: %v\n", unreadable)
	}
	switch {
	case lost > 0:
		return cli.Advise(fmt.Errorf("%s cannot be read", cli.Count(lost, "record")), "restore the damaged or missing objects from a copy of the store, and run the command again")
	case len(found.Unreadable) > 0:
		return cli.Advise(fmt.Errorf("%s cannot be read, and may have had records", cli.Count(len(found.Unreadable), "object")), "restore them from a copy of the store, and run the command again")
	}
	return nil
}

func writing(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("writing: %w", err)
}
