package topic

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// Mapping is laneway topic mapping.
type Mapping struct {
	topicName
	cli.ServerFlag
	Subject   string       `placeholder:"SUBJECT" help:"The subject to spread over the partitions, with a * for each token that varies; NAME.* if not given."`
	Wildcards []cli.Number `placeholder:"N,..." help:"Which * of the subject choose the partition, counted from 1; all if not given."`
}

// Help implements kong.HelpProvider.
func (*Mapping) Help() string {
	return `NATS then rewrites the subject of each message before Laneway sees it: subjects that agree in the chosen tokens go to the
same partition and keep their order. The record does not keep its subject.

Print it into a file beside nats-server.conf and include it there: at the top level, or in the block of the account that
producers use. Then reload the server, each server of a cluster. NATS takes one mappings block for an account, so put the
lines of several topics into one.

Examples:

    laneway topic mapping orders > orders.conf
    laneway topic mapping orders --subject 'orders.*.*' --wildcards 2`
}

// Validate implements kong's check of a command.
func (c *Mapping) Validate() error {
	subject := c.subject()
	if err := protocol.CheckSubject(subject); err != nil {
		return fmt.Errorf("%s cannot be mapped: %w", subject, err)
	}
	stars := strings.Count(subject, "*")
	switch {
	case strings.HasSuffix(subject, ">"):
		return errors.New("--subject ends in >, which NATS cannot map to a partition: write a * for each token")
	case stars == 0:
		return errors.New("--subject has no *, so all its messages would go to one partition")
	}
	for _, n := range c.Wildcards {
		if int(n) > stars {
			return fmt.Errorf("--wildcards names the %d. * of %s, which has %d", n, subject, stars)
		}
	}
	return nil
}

func (c *Mapping) subject() string {
	if c.Subject == "" {
		return c.Name + ".*"
	}
	return c.Subject
}

// Run prints the mapping.
func (c *Mapping) Run(a *cli.App) error {
	return c.Administer(a, func(ctx context.Context, laneway *client.Client) error {
		topic, _, err := laneway.Admin().TopicInfo(ctx, c.Name)
		if err != nil {
			return err
		}
		if topic.Partitions == 1 {
			return cli.Misuse("topic %s has one partition; bind it to its subjects by: laneway topic update %s --subjects ...", c.Name, c.Name)
		}
		topics, err := laneway.Admin().ListTopics(ctx)
		if err != nil {
			return err
		}
		if err := free(c.subject(), topics); err != nil {
			return err
		}
		return cli.Say(a.Stdout, "%s", mapping(topic, c.subject(), c.Wildcards))
	})
}

// free returns an error if a topic is bound to a subject that overlaps with the given
// one. A mapping would divert the messages of that topic.
func free(subject string, topics []protocol.Topic) error {
	for _, topic := range topics {
		for _, taken := range topic.Subjects {
			if protocol.SubjectsOverlap(subject, taken) {
				return cli.Misuse("%s overlaps with %s, to which topic %s is bound", subject, taken, topic.Name)
			}
		}
	}
	return nil
}

// mapping returns the part of a NATS configuration that spreads a subject over the
// partitions of a topic by the given wildcards, counted from 1, or by all wildcards if
// none is given.
func mapping(topic protocol.Topic, subject string, wildcards []cli.Number) string {
	if len(wildcards) == 0 {
		for n := range strings.Count(subject, "*") {
			wildcards = append(wildcards, cli.Number(n+1))
		}
	}
	arguments := []string{strconv.Itoa(topic.Partitions)}
	for _, n := range wildcards {
		arguments = append(arguments, strconv.Itoa(int(n)))
	}
	return fmt.Sprintf("# Spreads %s over the partitions of topic %s.\nmappings {\n  %q: \"%s%s.{{partition(%s)}}\"\n}\n",
		subject, topic.Name, subject, protocol.ProducePrefix, topic.Name, strings.Join(arguments, ","))
}
