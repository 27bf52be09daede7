// Package producer is the command laneway producer, which shows what the partitions of a
// topic remember of idempotent producers.
//
// It only shows; laneway produce is the command that sends as a producer.
package producer

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// Command is laneway producer.
type Command struct {
	List List `cmd:"" help:"List the producers that a topic remembers."`
	Show Show `cmd:"" help:"Show how far a producer came in each partition."`
}

// List is laneway producer list.
type List struct {
	Topic string `arg:"" help:"Name of the topic."`
	cli.ServerFlag
	Partition int  `default:"-1" placeholder:"N" help:"Only of this partition."`
	JSON      bool `name:"json" help:"Print a JSON array."`
}

// Help implements kong.HelpProvider.
func (*List) Help() string {
	return `A partition forgets a producer that is idle for longer than the topic's --producer-expiry. The last sequence of a producer is that of its last record in the log, and its age is the time since then.

Example:

    laneway producer list orders --partition 0`
}

// Run lists the producers.
func (c *List) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		first, last := c.Partition, c.Partition
		if c.Partition == cli.AllPartitions {
			topic, _, err := laneway.Admin().TopicInfo(ctx, c.Topic)
			if err != nil {
				return err
			}
			first, last = 0, topic.Partitions-1
		}
		producers := []protocol.ProducerInfo{}
		for n := first; n <= last; n++ {
			for producer, err := range laneway.Admin().ListProducers(ctx, c.Topic, int32(n)) {
				if err != nil {
					return err
				}
				producers = append(producers, producer)
			}
		}
		return printProducers(a.Stdout, producers, c.JSON)
	})
}

// Show is laneway producer show.
type Show struct {
	Topic    string `arg:"" help:"Name of the topic."`
	Producer string `arg:"" help:"Id or name of the producer."`
	cli.ServerFlag
	JSON bool `name:"json" help:"Print a JSON array."`
}

// Help implements kong.HelpProvider.
func (*Show) Help() string {
	return `A number is taken for an id first, and for a name if no producer has that id.

Example:

    laneway producer show orders importer`
}

// Run shows the producer.
func (c *Show) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		for _, request := range c.requests() {
			producers, err := laneway.Admin().ProducerInfo(ctx, request)
			if err != nil && protocol.AsError(err).Code != protocol.CodeUnknownName {
				return err
			}
			if len(producers) > 0 {
				return printProducers(a.Stdout, producers, c.JSON)
			}
		}
		return cli.Advise(
			fmt.Errorf("no partition of %s remembers a producer %q", c.Topic, c.Producer),
			"see which there are with: laneway producer list "+c.Topic,
		)
	})
}

// requests returns the requests to send, one after the other until one finds the
// producer. A number is ambiguous, because a name may be a number too.
func (c *Show) requests() []protocol.ProducerInfoRequest {
	byName := protocol.ProducerInfoRequest{Topic: c.Topic, Name: c.Producer}
	if id, err := strconv.ParseInt(c.Producer, 10, 64); err == nil && id > 0 {
		return []protocol.ProducerInfoRequest{{Topic: c.Topic, ProducerID: id}, byName}
	}
	return []protocol.ProducerInfoRequest{byName}
}

func printProducers(out io.Writer, producers []protocol.ProducerInfo, asJSON bool) error {
	if asJSON {
		return cli.WriteJSON(out, producers)
	}
	// Flush reports the errors of all writes.
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "PARTITION\tID\tNAME\tEPOCH\tLAST SEQUENCE\tAGE")
	for _, p := range producers {
		name, last := "-", "-"
		if p.Name != "" {
			name = cli.Printable(p.Name)
		}
		if p.LastSequence != nil {
			last = strconv.Itoa(int(*p.LastSequence))
		}
		_, _ = fmt.Fprintf(table, "%d\t%d\t%s\t%d\t%s\t%s\n", p.Partition, p.ProducerID, name, p.ProducerEpoch, last, age(p.AgeMS))
	}
	return table.Flush()
}

// age returns a duration in the past in words, such as "3 hours ago".
func age(milliseconds int64) string {
	now := time.Now()
	return humanize.RelTime(now.Add(-time.Duration(milliseconds)*time.Millisecond), now, "ago", "from now")
}
