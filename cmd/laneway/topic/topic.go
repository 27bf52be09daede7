// Package topic is the command laneway topic, which creates, updates, lists, shows, truncates and
// deletes topics, prints the NATS configuration for their subjects, and repairs their logs.
//
// All of it but the repair goes through the client. The repair reads and writes the logs
// and the object store itself, because it is for data that the services cannot read.
package topic

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// Command is laneway topic.
type Command struct {
	Create   Create   `cmd:"" help:"Create a topic."`
	Update   Update   `cmd:"" help:"Change the subjects, limits, compression or retention of a topic."`
	List     List     `cmd:"" help:"List all topics."`
	Info     Info     `cmd:"" help:"Show a topic and the state of its partitions."`
	Mapping  Mapping  `cmd:"" help:"Print the NATS configuration that spreads subjects over a topic's partitions."`
	Truncate Truncate `cmd:"" help:"Drop the oldest records of a partition, without asking."`
	Repair   Repair   `cmd:"" help:"Show what the logs of a topic have lost, and export it from the object store."`
	Delete   Delete   `cmd:"" help:"Delete a topic and its records, without asking."`
}

type topicName struct {
	Name string `arg:"" help:"Name of the topic: 1 to 64 letters, digits, underscores and hyphens."`
}

// List is laneway topic list.
type List struct {
	cli.ServerFlag
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Help implements kong.HelpProvider.
func (*List) Help() string {
	return `Example:

    laneway topic list`
}

// Run lists the topics.
func (c *List) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		response, err := laneway.Admin().TopicList(ctx)
		if err != nil {
			return err
		}
		topics := response.Topics
		warn(a, response.Warnings)
		if c.JSON {
			return cli.WriteJSON(a.Stdout, append([]protocol.Topic{}, topics...))
		}
		// Flush reports the errors of all writes.
		table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "NAME\tPARTITIONS\tMAX RECORD\tCREATED\tRETENTION\tSUBJECTS")
		for _, t := range topics {
			_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n",
				t.Name, t.Partitions, humanize.IBytes(uint64(t.MaxRecordBytes)), t.Created.Format(time.RFC3339),
				cmp.Or(strings.Join(retention(t), ", "), "forever"), strings.Join(t.Subjects, " "))
		}
		return table.Flush()
	})
}

// Info is laneway topic info.
type Info struct {
	topicName
	cli.ServerFlag
	JSON bool `name:"json" help:"Print a JSON object."`
}

// Help implements kong.HelpProvider.
func (*Info) Help() string {
	return `START is the first offset, and END the one after the last record. The records below ARCHIVED
are in the object store, in as many segments as SEGMENTS says. LOG STREAM is the JetStream stream
with the entries of the others: it has the log that the partition is in. LOG ENTRIES says how many and how large they are, with the payloads of
small batches. Payloads of larger batches that are not archived are in objects: see laneway store usage.
No record is older than OLDEST.

Example:

    laneway topic info orders`
}

// Run shows the topic.
func (c *Info) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		response, err := laneway.Admin().DescribeTopic(ctx, c.Name)
		if err != nil {
			return err
		}
		if c.JSON {
			return cli.WriteJSON(a.Stdout, response)
		}
		warn(a, response.Warnings)
		topic, partitions := *response.Topic, response.Partitions
		if err := cli.Say(a.Stdout, "topic %s, created %s, records of up to %s%s%s%s\nremembers up to %s, each until it was idle for %s\nthis Laneway has %s, which its topics share\n\n",
			topic.Name, topic.Created.Format(time.RFC3339), humanize.IBytes(uint64(topic.MaxRecordBytes)), compressed(topic), bound(topic), retained(topic),
			cli.Count(topic.MaxProducers, "producer"), cli.Short(topic.ProducerExpiry()), cli.Count(max(topic.Logs, 1), "log")); err != nil {
			return err
		}
		if err := sayPartitions(a.Stdout, partitions); err != nil {
			return err
		}
		return sayDamage(a.Stdout, topic.Name, partitions)
	})
}

// sayPartitions prints a table of the partitions.
func sayPartitions(out io.Writer, partitions []protocol.PartitionInfo) error {
	// Flush reports the errors of all writes.
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "PARTITION\tSTART\tEND\tARCHIVED\tSEGMENTS\tOLDEST\tLOG STREAM\tLOG ENTRIES")
	for i := range partitions {
		p := &partitions[i]
		_, _ = fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%s\t%s\t%s\t%d, %s\n",
			p.Partition, p.StartOffset, p.EndOffset, p.ArchivedOffset, segments(p), oldest(p), p.LogStream, p.Entries, humanize.IBytes(p.LogBytes))
	}
	return table.Flush()
}

// segments describes the segments of a partition.
func segments(p *protocol.PartitionInfo) string {
	switch {
	case p.Segments > 0:
		return fmt.Sprintf("%d, %s", p.Segments, humanize.IBytes(uint64(p.SegmentBytes)))
	case p.ArchivedOffset > p.StartOffset:
		return "?" // the object store does not say
	}
	return "-"
}

// oldest describes the age of a partition.
func oldest(p *protocol.PartitionInfo) string {
	switch {
	case p.OldestTime != nil:
		return p.OldestTime.Format(time.RFC3339)
	case p.StartOffset < p.EndOffset:
		return "?"
	}
	return "-"
}

// sayDamage prints why partitions are read-only, if any is.
func sayDamage(out io.Writer, topic string, partitions []protocol.PartitionInfo) error {
	damaged := false
	for _, p := range partitions {
		if p.Damage == "" {
			continue
		}
		damaged = true
		if err := cli.Say(out, "\npartition %d is read-only, because %s\n", p.Partition, p.Damage); err != nil {
			return err
		}
	}
	if !damaged {
		return nil
	}
	return cli.Say(out, "restore the data of JetStream from a copy, or see: laneway topic repair %s\n", topic)
}

// warn prints warnings to standard error, so that standard output stays parseable.
func warn(a *cli.App, warnings []string) {
	for _, w := range warnings {
		// An error of this write is ignored: there is no other place to report it.
		_, _ = fmt.Fprintf(a.Stderr, "warning: %s\n", w)
	}
}

// Delete is laneway topic delete.
type Delete struct {
	topicName
	cli.ServerFlag
}

// Help implements kong.HelpProvider.
func (*Delete) Help() string {
	return `The records can no longer be read. Sweeps delete their objects from the object store: they are gone after three sweeps,
which is some 15 minutes.

Example:

    laneway topic delete orders`
}

// Run deletes the topic.
func (c *Delete) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		if err := laneway.Admin().DeleteTopic(ctx, c.Name); err != nil {
			return err
		}
		return cli.Say(a.Stdout, "deleted topic %s\n", c.Name)
	})
}
