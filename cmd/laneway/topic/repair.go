package topic

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/repair"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/stores"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// Repair is laneway topic repair.
type Repair struct {
	topicName
	cli.ServerFlag
	Partition int               `default:"-1" placeholder:"N" help:"Only this partition; by default all."`
	Store     cli.StoreLocation `placeholder:"URL" help:"The object store of the stagers, a path or a URL such as s3://bucket/prefix, to search for batches that no log refers to, and for records that were archived. Without it, only logs and snapshots are searched."`
	Export    string            `placeholder:"FILE" help:"Write those batches to a new file, a JSON object a line; - is standard output. It needs --store."`
	Accept    bool              `name:"accept-loss" help:"Continue the log of each damaged partition without what is missing, for good."`
	JSON      bool              `name:"json" help:"Print the report as a JSON object."`
}

// Help implements kong.HelpProvider.
func (*Repair) Help() string {
	return `Shows what the log of each partition has lost, and changes nothing unless --accept-loss is given. It compares the log with its newest snapshot, with
its mark, which bounds how far it may have come, and, with --store, with the objects: an object tells of each batch which topic, partition, lane and ticket it belongs to. It needs
full rights to NATS and to the store, as services have them, and works while they run or not; NATS must run.

--export writes each batch that no log entry refers to as a line of JSON: topic, topic_id, partition, frontend_epoch, lane,
ticket, key, offset, length, crc32c, producer, message_id, and its records with headers and value, or value_base64 if that
is not UTF-8. Each lane is in the order of its tickets, which is the order in which its producer sent. Copies of batches
that the log has, repetitions with the same payload, and batches that the log knows to be refused are left out.

Not every such batch was acknowledged: an object is written before its batch is accepted. It may have been refused, or
be on its way right now. Compare with what producers know before you send it again; docs/repair.md says how.

--accept-loss gives up what is missing: each damaged partition continues in a new log, with the entries that can be
read, behind every offset that may have been given out. With --store, the report says before what it does. Records of the
log are left out if the history in the store has others at their offsets; --export writes them too. Consumers are told of
the gap. Export first: accepting
a loss cannot be undone. The old log stays, sealed. If only the topic's record is older than its log, because it was
restored from an old copy, the record is corrected, and nothing of the partition is given up. Otherwise it needs --store:
what segments hold of a log is not lost.

The exit code is 6 if the store is not that of the services.

Examples:

    laneway topic repair orders

    laneway topic repair orders --store /var/lib/laneway/objects --export lost.jsonl

    laneway topic repair orders --store /var/lib/laneway/objects --accept-loss`
}

// Validate implements kong's check of a command.
func (c *Repair) Validate() error {
	switch {
	case c.Export != "" && c.Store == "":
		return errors.New("--export needs --store: the batches are in the object store")
	case c.Partition < cli.AllPartitions:
		return fmt.Errorf("--partition is %d, it is a partition from 0 on", c.Partition)
	case c.Export == "-" && c.JSON:
		return errors.New("--export - and --json would mix on standard output")
	}
	return nil
}

// Run inspects the topic and prints the report. It exports what the logs have lost and
// accepts the loss if the flags say so.
func (c *Repair) Run(a *cli.App) error {
	store, err := c.open(a.Ctx)
	if err != nil {
		return err
	}
	if store != nil {
		defer func() { _ = store.Close() }()
	}
	laneway, err := c.Connect()
	if err != nil {
		return err
	}
	defer laneway.Close()
	js, err := jetstream.New(laneway.Conn())
	if err != nil {
		return err
	}
	topic, lost, err := c.lookUp(a.Ctx, laneway.Conn(), js)
	if err != nil {
		return err
	}
	numbers, err := c.which(topic)
	if err != nil {
		return err
	}
	waiting := cli.AwaitStore(a.Stderr, c.Store)
	objects, notShared, err := c.compare(a.Ctx, js, store)
	waiting.End()
	if err != nil {
		return err
	}
	activity := cli.NewActivity(a.Stderr)
	inspector := repair.Inspector{Conn: laneway.Conn(), JS: js, Store: objects, NewState: newState, Progress: func(p repair.Progress) {
		activity.Show(fmt.Sprintf("read %s of logs and %s", cli.Count(p.Entries, "entry"), cli.Count(p.Objects, "object")))
	}}
	survey, err := inspector.Inspect(a.Ctx, topic, numbers)
	activity.Close()
	if err != nil {
		return err
	}
	survey.Report.Record = lost
	if store != nil {
		survey.Report.Store.NotShared = notShared
	}
	var accept error
	if c.Accept && c.JSON {
		accept = c.exportAndAccept(a, &inspector, survey) // a single object has all of it
	}
	if err := c.print(a, &survey.Report); err != nil && !errors.Is(err, syscall.EPIPE) {
		return errors.Join(accept, err)
	}
	if !c.Accept || !c.JSON {
		accept = c.exportAndAccept(a, &inspector, survey)
	}
	return accept
}

// newState returns the state of a partition as its owners see it.
func newState(topic protocol.Topic, p protocol.Partition, from *messages.Snapshot) repair.State {
	settings := core.DefaultSettings("")
	settings.ProducerExpiry, settings.MaxProducers = topic.ProducerExpiry(), topic.MaxProducers
	return core.NewState(p, settings, time.Now(), from)
}

// open opens the store. A folder must exist: searching a new, empty one would look like a
// search that has found nothing.
func (c *Repair) open(ctx context.Context) (objectstore.Store, error) {
	if c.Store == "" {
		return nil, nil
	}
	return stores.OpenExisting(ctx, string(c.Store))
}

// compare returns the part of the store that has the objects of the cluster; nil without a
// store. It also returns why the store may be another one than that of the services; empty if it
// is certain. Such a doubt is reported but does not end the search, because the records that are
// compared may be among what was lost. A storeid.RefusedError means that it is another store.
func (c *Repair) compare(ctx context.Context, js jetstream.JetStream, store objectstore.Store) (objects objectstore.Store, doubt string, err error) {
	if store == nil {
		return nil, "", nil
	}
	at, err := c.Store.Place()
	if err != nil {
		return nil, "", err
	}
	bounded, cancel := context.WithTimeout(ctx, cli.AdminTimeout)
	defer cancel()
	candidate := storeid.Candidate{Store: store, Place: at}
	found, err := storeid.Examine(bounded, js, candidate)
	if _, refused := errors.AsType[*storeid.RefusedError](err); err != nil && !refused {
		// Perhaps JetStream does not answer. The marker alone also names the part of the store.
		doubt = err.Error()
		found, err = storeid.Examine(ctx, nil, candidate)
	}
	switch {
	case err != nil:
		return nil, "", cli.ExplainStore(c.Store, err)
	case doubt == "" && found.Doubt != nil:
		doubt = found.Doubt.Reason
	}
	return found.Objects, doubt, ctx.Err()
}

// lookUp returns the topic. If its record cannot be read, the topic is derived from its
// logs, and lost says why.
func (c *Repair) lookUp(ctx context.Context, conn *nats.Conn, js jetstream.JetStream) (topic protocol.Topic, lost string, err error) {
	ctx, cancel := context.WithTimeout(ctx, cli.AdminTimeout)
	defer cancel()
	topic, err = topics.Lookup(ctx, conn, c.Name)
	if err == nil {
		return topic, "", nil
	}
	topic, logsErr := topics.FromLogs(ctx, conn, js, c.Name)
	if logsErr != nil {
		return protocol.Topic{}, "", err
	}
	return topic, err.Error(), nil
}

// which returns the partitions to inspect.
func (c *Repair) which(topic protocol.Topic) ([]int, error) {
	if c.Partition >= topic.Partitions {
		return nil, protocol.Errorf(protocol.CodeUnknownTopic, "%s has no partition %d", c.Name, c.Partition)
	}
	if c.Partition != cli.AllPartitions {
		return []int{c.Partition}, nil
	}
	numbers := make([]int, topic.Partitions)
	for n := range numbers {
		numbers[n] = n
	}
	return numbers, nil
}
