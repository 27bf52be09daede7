package topic

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// Create is laneway topic create.
type Create struct {
	topicName
	cli.ServerFlag
	Partitions     cli.Number `default:"1" help:"Number of partitions, at most 4,096. Records keep their order within a partition."`
	MaxRecordBytes cli.Size   `placeholder:"2MiB" help:"Largest record, at most 4MiB and what NATS' max_payload allows; by default 2MiB, or less if max_payload is small."`
	Subjects       []string   `placeholder:"SUBJECT,..." help:"Subjects to which records may be sent besides laneway.produce.NAME.0, such as orders.>; at most 16, and only for a topic of one partition."`
	Replicas       cli.Number `placeholder:"NUMBER" help:"NATS servers that keep the log of each partition, at most 5; by default as many as keep everything else, see --replicas of laneway serve."`
	ProducerExpiry cli.Period `default:"24h" help:"How long a partition remembers an idle idempotent producer, at least 10m."`
	Compression    string     `enum:"none,s2,zstd" default:"none" help:"How stagers compress records that producers send uncompressed: none, s2 (fast) or zstd (smaller)."`
	RetentionAge   cli.Age    `placeholder:"AGE" help:"Drop records that are older than this, such as 30d or 12h; by default none are dropped. Needs archiving."`
	RetentionBytes cli.Amount `placeholder:"SIZE" help:"Drop the oldest records of a partition beyond this many stored bytes, such as 100GiB; by default none are dropped. Needs archiving."`
	MaxProducers   cli.Number `default:"100000" help:"Idempotent producers that a partition remembers, at most 1000000; new ones are refused beyond it."`
}

// Help implements kong.HelpProvider.
func (*Create) Help() string {
	return `With --subjects, whatever is published to them is a record of the topic, which keeps its subject as the header
Laneway-Subject. Subjects that overlap with those of another topic or of a JetStream stream are refused. A stream that is
created later is not: it would store and acknowledge the same messages. Several partitions: see laneway topic mapping.

With --compression, records are compressed together with others of their partition, if that makes them smaller.
Producers and consumers do not notice it. Batches that a producer has compressed itself stay as they are.

With --retention-age and --retention-bytes, old records are dropped. If both are given, the one that drops more counts.
Whole segments of the object store are dropped, so some records stay longer. Only records that are archived are dropped:
see --archive-bytes of laneway serve.

Examples:

    laneway topic create orders --subjects 'orders.>'
    laneway topic create payments --partitions 4
    laneway topic create logs --compression zstd --retention-age 30d`
}

// Validate implements kong's check of a command.
func (c *Create) Validate() error {
	switch {
	case c.Partitions > protocol.MaxPartitions:
		return fmt.Errorf("--partitions is %d, allowed are 1 to %d", c.Partitions, protocol.MaxPartitions)
	case c.Replicas > protocol.MaxReplicas:
		return fmt.Errorf("--replicas is %d, allowed are 1 to %d", c.Replicas, protocol.MaxReplicas)
	}
	if err := checkRetention(&c.RetentionAge, &c.RetentionBytes); err != nil {
		return err
	}
	return checkLimits(&c.MaxRecordBytes, &c.ProducerExpiry, &c.MaxProducers)
}

// minRetentionBytes is far below the size of a segment, of which a partition keeps at least one. A
// smaller number is a mistake.
const minRetentionBytes = 64 << 10

// checkRetention returns why a retention is not allowed. What is nil is not checked.
func checkRetention(age *cli.Age, bytes *cli.Amount) error {
	if age != nil {
		if d := time.Duration(*age); d != 0 && (d < protocol.MinRetentionAge || d > protocol.MaxRetentionAge) {
			return fmt.Errorf("--retention-age is %s, allowed are 0 and %s to %s", age, protocol.MinRetentionAge, cli.Age(protocol.MaxRetentionAge))
		}
	}
	if bytes != nil && *bytes != 0 && *bytes < minRetentionBytes {
		return fmt.Errorf("--retention-bytes is %d, allowed are 0 and %s or more", *bytes, humanize.IBytes(minRetentionBytes))
	}
	return nil
}

// checkLimits returns why limits of a topic are not allowed. Those that are nil are not checked.
func checkLimits(maxRecordBytes *cli.Size, producerExpiry *cli.Period, maxProducers *cli.Number) error {
	switch {
	case maxRecordBytes != nil && *maxRecordBytes > protocol.MaxRecordBytesLimit:
		return fmt.Errorf("--max-record-bytes is %d, allowed are 1 to %s", *maxRecordBytes, humanize.IBytes(protocol.MaxRecordBytesLimit))
	case maxProducers != nil && *maxProducers > protocol.MaxProducersLimit:
		return fmt.Errorf("--max-producers is %d, allowed are 1 to %d", *maxProducers, protocol.MaxProducersLimit)
	case producerExpiry == nil:
		return nil
	}
	if d := time.Duration(*producerExpiry); d < protocol.MinProducerExpiry || d > protocol.MaxProducerExpiry {
		return fmt.Errorf("--producer-expiry is %s, allowed are %s to %s", d, cli.Short(protocol.MinProducerExpiry), cli.Short(protocol.MaxProducerExpiry))
	}
	return nil
}

// Run creates the topic.
func (c *Create) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		topic, err := laneway.Admin().CreateTopic(ctx, protocol.TopicConfig{
			Name: c.Name, Partitions: int(c.Partitions), MaxRecordBytes: int(c.MaxRecordBytes),
			Replicas: int(c.Replicas), Subjects: c.Subjects,
			Compression:    protocol.Compression(c.Compression),
			RetentionAgeMS: time.Duration(c.RetentionAge).Milliseconds(), RetentionBytes: int64(c.RetentionBytes),
			ProducerExpiryMS: time.Duration(c.ProducerExpiry).Milliseconds(), MaxProducers: int(c.MaxProducers),
		})
		if err != nil {
			return err
		}
		return cli.Say(a.Stdout, "created topic %s: %s, records of up to %s%s%s%s\n",
			topic.Name, cli.Count(topic.Partitions, "partition"), humanize.IBytes(uint64(topic.MaxRecordBytes)), compressed(topic), bound(topic), retained(topic))
	})
}

// retained says what a topic keeps; it is empty if that is everything.
func retained(topic protocol.Topic) string {
	kept := retention(topic)
	if len(kept) == 0 {
		return ""
	}
	return ", retains " + strings.Join(kept, " and ")
}

// retention names what a topic keeps; it is empty if that is everything.
func retention(topic protocol.Topic) (kept []string) {
	if topic.RetentionAgeMS > 0 {
		kept = append(kept, cli.Age(topic.RetentionAge()).String())
	}
	if topic.RetentionBytes > 0 {
		kept = append(kept, humanize.IBytes(uint64(topic.RetentionBytes))+" of each partition")
	}
	return kept
}

// compressed names the codec of a topic; it is empty if the topic has none.
func compressed(topic protocol.Topic) string {
	if topic.Codec() == "" {
		return ""
	}
	return ", compressed with " + string(topic.Compression)
}

// bound names the subjects that a topic is bound to; it is empty if there are none.
func bound(topic protocol.Topic) string {
	if len(topic.Subjects) == 0 {
		return ""
	}
	return ", bound to " + strings.Join(topic.Subjects, " ")
}
