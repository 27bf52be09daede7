package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// Update is laneway topic update.
type Update struct {
	topicName
	cli.ServerFlag
	MaxRecordBytes *cli.Size   `placeholder:"SIZE" help:"Largest record, at most 4MiB and what NATS' max_payload allows. Records that are stored already stay."`
	Subjects       subjectList `placeholder:"SUBJECT,..." help:"Subjects instead of those that the topic is bound to, at most 16, and only for a topic of one partition; an empty value stands for none."`
	ProducerExpiry *cli.Period `placeholder:"DURATION" help:"How long a partition remembers an idle idempotent producer, at least 10m."`
	Compression    *string     `placeholder:"CODEC" help:"How stagers compress new records that producers send uncompressed: none, s2 (fast) or zstd (smaller)."`
	RetentionAge   *cli.Age    `placeholder:"AGE" help:"Drop records that are older than this, such as 30d or 12h; 0 drops none."`
	RetentionBytes *cli.Amount `placeholder:"SIZE" help:"Drop the oldest records of a partition beyond this many stored bytes; 0 drops none."`
	MaxProducers   *cli.Number `placeholder:"N" help:"Idempotent producers that a partition remembers, at most 1000000. If it remembers more already, it refuses new ones until enough have expired."`

	Partitions cli.Number `hidden:"" help:"Cannot be changed."`
	Replicas   cli.Number `hidden:"" help:"Cannot be changed."`

	JSON bool `name:"json" help:"Print a JSON object with the topic after the update and before it."`
}

// Help implements kong.HelpProvider.
func (*Update) Help() string {
	return `Options that are not given keep their values. The update is in force in the frontend when the command ends, and in the
other services soon after. Nothing is restarted. The number of partitions and that of replicas cannot be changed.

With --subjects, the topic is bound to the given subjects only. Requests to subjects that stay are neither lost nor
rejected in the meantime. A request that arrives while a topic gets its first subjects may get no answer.
To move a subject to another topic, take it from the one and then give it to the other.

A lower retention also drops records that are stored already. This cannot be undone.

A batch that a producer sends again after --producer-expiry may be appended twice. The expiry must exceed the delivery
timeout of every running producer.

Examples:

    laneway topic update orders --compression zstd
    laneway topic update orders --retention-age 7d --retention-bytes 100GiB
    laneway topic update orders --subjects 'orders.>,returns.*' --max-record-bytes 1MiB
    laneway topic update orders --subjects=`
}

// Validate implements kong's check of a command.
func (c *Update) Validate(kctx *kong.Context) error {
	for _, element := range kctx.Path {
		// The configuration file may have these flags for other commands.
		if flag := element.Flag; flag != nil && !element.Resolved && (flag.Name == "partitions" || flag.Name == "replicas") {
			return fmt.Errorf("--%s cannot be changed: create another topic", flag.Name)
		}
	}
	if c.MaxRecordBytes == nil && !c.Subjects.given && c.ProducerExpiry == nil && c.Compression == nil && c.MaxProducers == nil &&
		c.RetentionAge == nil && c.RetentionBytes == nil {
		return errors.New("nothing is to be changed: give at least one of the options")
	}
	if codec := c.Compression; codec != nil && !slices.Contains(codecs, *codec) {
		return fmt.Errorf("--compression is %q, allowed are %s", *codec, strings.Join(codecs, ", "))
	}
	if err := checkRetention(c.RetentionAge, c.RetentionBytes); err != nil {
		return err
	}
	return checkLimits(c.MaxRecordBytes, c.ProducerExpiry, c.MaxProducers)
}

var codecs = []string{"none", "s2", "zstd"}

// request returns what the API is asked for.
func (c *Update) request() protocol.TopicUpdate {
	u := protocol.TopicUpdate{Name: c.Name, Compression: (*protocol.Compression)(c.Compression)}
	if c.MaxRecordBytes != nil {
		u.MaxRecordBytes = new(int(*c.MaxRecordBytes))
	}
	if c.ProducerExpiry != nil {
		u.ProducerExpiryMS = new(time.Duration(*c.ProducerExpiry).Milliseconds())
	}
	if c.MaxProducers != nil {
		u.MaxProducers = new(int(*c.MaxProducers))
	}
	if c.RetentionAge != nil {
		u.RetentionAgeMS = new(time.Duration(*c.RetentionAge).Milliseconds())
	}
	if c.RetentionBytes != nil {
		u.RetentionBytes = new(int64(*c.RetentionBytes))
	}
	if c.Subjects.given {
		u.Subjects = append([]string{}, c.Subjects.subjects...)
	}
	return u
}

// Run updates the topic, and prints what has changed.
func (c *Update) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		response, err := laneway.Admin().UpdateTopic(ctx, c.request())
		if err != nil {
			return err
		}
		if c.JSON {
			return cli.WriteJSON(a.Stdout, response)
		}
		changes := changed(*response.Previous, *response.Topic)
		if len(changes) == 0 {
			return cli.Say(a.Stdout, "topic %s is unchanged: it has these values already\n", c.Name)
		}
		return cli.Say(a.Stdout, "updated topic %s:\n%s", c.Name, strings.Join(changes, ""))
	})
}

// values are the texts of what can be updated, by the names of the options.
var values = []struct {
	name string
	text func(protocol.Topic) string
}{
	{"max-record-bytes", func(t protocol.Topic) string { return humanize.Comma(int64(t.MaxRecordBytes)) }},
	{"subjects", func(t protocol.Topic) string {
		if len(t.Subjects) == 0 {
			return "none"
		}
		return strings.Join(t.Subjects, " ")
	}},
	{"producer-expiry", func(t protocol.Topic) string { return cli.Short(t.ProducerExpiry()) }},
	{"compression", func(t protocol.Topic) string { return string(t.Compression) }},
	{"retention-age", func(t protocol.Topic) string { return cli.Age(t.RetentionAge()).String() }},
	{"retention-bytes", func(t protocol.Topic) string { return humanize.Comma(t.RetentionBytes) }},
	{"max-producers", func(t protocol.Topic) string { return humanize.Comma(int64(t.MaxProducers)) }},
}

// changed returns a line for each value that differs.
func changed(before, after protocol.Topic) (lines []string) {
	for _, v := range values {
		if from, to := v.text(before), v.text(after); from != to {
			lines = append(lines, fmt.Sprintf("  %s: %s, before: %s\n", v.name, to, from))
		}
	}
	return lines
}

// subjectList is a list of subjects that may be given as empty. It is given like any other
// list: separated by commas, by several flags, or as an array of the configuration file.
type subjectList struct {
	given    bool
	subjects []string
}

// Decode implements kong.MapperValue.
func (l *subjectList) Decode(ctx *kong.DecodeContext) error {
	token := ctx.Scan.Pop()
	if token.IsEOL() {
		return errors.New("missing value, expecting \"<arg>,...\"")
	}
	l.given = true
	list, is := token.Value.([]any)
	if !is {
		l.subjects = append(l.subjects, kong.SplitEscaped(fmt.Sprint(token.Value), ',')...)
	}
	for _, subject := range list {
		l.subjects = append(l.subjects, fmt.Sprint(subject))
	}
	return nil
}
