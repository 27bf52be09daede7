package main

import (
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

type topicCommand struct {
	Create  topicCreate  `cmd:"" help:"Create a topic."`
	List    topicList    `cmd:"" help:"List all topics."`
	Info    topicInfo    `cmd:"" help:"Show a topic and the state of its partitions."`
	Mapping topicMapping `cmd:"" help:"Print the NATS configuration that spreads subjects over a topic's partitions."`
	Repair  topicRepair  `cmd:"" help:"Show what the logs of a topic have lost, and export it from the object store."`
	Delete  topicDelete  `cmd:"" help:"Delete a topic and its records, without asking."`
}

type topicName struct {
	Name string `arg:"" help:"Name of the topic: 1 to 64 letters, digits, underscores and hyphens."`
}

type topicList struct {
	cli.ServerFlag
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Help implements kong.HelpProvider.
func (*topicList) Help() string {
	return `Example:

    laneway topic list`
}

// Run lists the topics.
func (c *topicList) Run(a *cli.App) error {
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
		// What cannot be written is reported by Flush.
		table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "NAME\tPARTITIONS\tMAX RECORD\tCREATED\tSUBJECTS")
		for _, t := range topics {
			_, _ = fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n",
				t.Name, t.Partitions, humanize.IBytes(uint64(t.MaxRecordBytes)), t.Created.Format(time.RFC3339), strings.Join(t.Subjects, " "))
		}
		return table.Flush()
	})
}

type topicInfo struct {
	topicName
	cli.ServerFlag
	JSON bool `name:"json" help:"Print a JSON object."`
}

// Help implements kong.HelpProvider.
func (*topicInfo) Help() string {
	return `Example:

    laneway topic info orders`
}

// Run shows the topic.
func (c *topicInfo) Run(a *cli.App) error {
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
		if err := cli.Say(a.Stdout, "topic %s, created %s, records of up to %s%s\nremembers up to %s, each until it was idle for %s\n\n",
			topic.Name, topic.Created.Format(time.RFC3339), humanize.IBytes(uint64(topic.MaxRecordBytes)), bound(topic),
			cli.Count(topic.MaxProducers, "producer"), short(topic.ProducerExpiry())); err != nil {
			return err
		}
		// What cannot be written is reported by Flush.
		table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "PARTITION\tRECORDS\tLOG STREAM\tLOG ENTRIES")
		for _, p := range partitions {
			_, _ = fmt.Fprintf(table, "%d\t%d\t%s\t%d\n", p.Partition, p.EndOffset, p.Stream, p.Entries)
		}
		if err := table.Flush(); err != nil {
			return err
		}
		return sayDamage(a.Stdout, topic.Name, partitions)
	})
}

// sayDamage prints what the logs of read-only partitions have lost.
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

// warn prints warnings beside the output proper.
func warn(a *cli.App, warnings []string) {
	for _, w := range warnings {
		// If it cannot be written there is no one to tell.
		_, _ = fmt.Fprintf(a.Stderr, "warning: %s\n", w)
	}
}

type topicDelete struct {
	topicName
	cli.ServerFlag
}

// Help implements kong.HelpProvider.
func (*topicDelete) Help() string {
	return `The records can no longer be read. The objects that hold their payloads stay in the object store.

Example:

    laneway topic delete orders`
}

// Run deletes the topic.
func (c *topicDelete) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		if err := laneway.Admin().DeleteTopic(ctx, c.Name); err != nil {
			return err
		}
		return cli.Say(a.Stdout, "deleted topic %s\n", c.Name)
	})
}
