package bench

import (
	"time"

	"laneway.dev/cmd/laneway/cli"
)

// amountFlags bound a measurement by time and by size.
type amountFlags struct {
	Duration cli.Period `default:"3s" help:"How long each measurement lasts, after a warm-up of a quarter of it."`
	Bytes    cli.Size   `default:"1GiB" help:"Size of all records after which a measurement ends early."`
}

// partitionsFlag is the flag of work that may be spread over the partitions of a topic.
type partitionsFlag struct {
	Partitions cli.Number `default:"1" help:"Partitions of a topic, or streams of JetStream, over which records are spread by chance."`
}

type produceCommand struct {
	commonFlags
	amountFlags
	batchFlags
	partitionsFlag
}

// batchFlags are the flags of producers that send batches.
type batchFlags struct {
	BatchBytes    cli.Size   `default:"64KiB" help:"Size of the records in a batch."`
	Producers     cli.Number `default:"16" help:"Producers, each with a connection of its own."`
	InFlight      cli.Number `default:"5" help:"Batches of a producer that may be unanswered at once, at most 5."`
	MaxBatchBytes *cli.Size  `placeholder:"SIZE" help:"Size up to which Laneway's client lets batches grow while answers are slow; by default they do not grow."`
}

// Help implements kong.HelpProvider.
func (*produceCommand) Help() string {
	return `JetStream gets the same records, with as many bytes in flight: by PublishAsync, in atomic batches, and as messages that each hold a whole batch; synced as it does by default, which is every two minutes, and before every acknowledgement (always), as Laneway does.

With --partitions, records have random keys, which choose the partition. A batch is sent as soon as its partition has fewer than --in-flight, so batches may be smaller than --batch-bytes. A producer has up to 4 MiB in flight over all partitions. JetStream gets the records by PublishAsync.

Examples:

    laneway bench produce --versus jetstream

    laneway bench produce --partitions 256 --versus jetstream`
}

// Run runs the measurement and prints its report.
func (c *produceCommand) Run(a *cli.App) error {
	plan := c.plan(Produce, c.amountFlags)
	c.apply(&plan)
	plan.Partitions = int(c.Partitions)
	return c.measure(a, plan)
}

func (b *batchFlags) apply(plan *Plan) {
	plan.BatchBytes, plan.Producers, plan.InFlight = int(b.BatchBytes), int(b.Producers), int(b.InFlight)
	if b.MaxBatchBytes != nil {
		plan.MaxBatchBytes = int(*b.MaxBatchBytes)
	}
}

type publishCommand struct {
	commonFlags
	amountFlags
	partitionsFlag
	Producers cli.Number `default:"1" help:"Producers, each with a connection of its own."`
	InFlight  cli.Number `default:"4096" help:"Records of a producer that may be unanswered at once."`
}

// Help implements kong.HelpProvider.
func (*publishCommand) Help() string {
	return `With --versus jetstream, the same client sends the same records to a stream by PublishAsync, with as many unanswered: once synced as JetStream does by default, which is every two minutes, and once before every acknowledgement (always), as Laneway does.

Example:

    laneway bench publish --versus jetstream`
}

// Run runs the measurement and prints its report.
func (c *publishCommand) Run(a *cli.App) error {
	plan := c.plan(Publish, c.amountFlags)
	plan.Producers, plan.InFlight, plan.Partitions = int(c.Producers), int(c.InFlight), int(c.Partitions)
	return c.measure(a, plan)
}

type consumeCommand struct {
	commonFlags
	Bytes cli.Size `default:"256MiB" help:"Size of all records that are sent, and then read."`
}

// Help implements kong.HelpProvider.
func (*consumeCommand) Help() string {
	return `The records are sent first, in batches of 64 KiB. Then the servers are restarted, so that their caches are empty. Every record is checked to be there and in its place.

With --versus jetstream, an ordered consumer reads the same records from streams: one with a record in each message, and one with messages of 64 KiB that each hold a batch. JetStream is synced as it does by default, which makes no difference to a reader.

Example:

    laneway bench consume --versus jetstream`
}

// Run runs the measurement and prints its report.
func (c *consumeCommand) Run(a *cli.App) error {
	plan := c.plan(Consume, amountFlags{Bytes: c.Bytes})
	plan.BatchBytes, plan.Producers, plan.InFlight = 64<<10, 16, 5
	return c.measure(a, plan)
}

type latencyCommand struct {
	commonFlags
	amountFlags
	layoutFlags
	Rate *cli.Number `placeholder:"100" help:"Records a second, of all partitions and topics together; by default 100, or with --topics one a minute for each topic."`
}

// Help implements kong.HelpProvider.
func (*latencyCommand) Help() string {
	return `A record is due at every tick of the rate. The Publish of an unmodified JetStream client sends it, whether earlier records are acknowledged or not. Its latency counts from the time at which it was due, so that a stall counts for all records that it delays. At the default rate, one record is usually acknowledged before the next one is due.

With --partitions, chance decides to which partition a record goes. With --topics, each topic in turn gets a record, over one connection. Every partition has a record before the measurement.

Examples:

    laneway bench latency --versus jetstream

    laneway bench latency --partitions 256 --rate 1500 --versus jetstream

    laneway bench latency --topics 500 --duration 1m`
}

// Run runs the measurement and prints its report.
func (c *latencyCommand) Run(a *cli.App) error {
	plan := c.plan(Latency, c.amountFlags)
	c.apply(&plan)
	switch {
	case c.Rate != nil:
		plan.Interval = time.Second / time.Duration(*c.Rate)
	case plan.Topics > 0:
		plan.Interval = time.Minute / time.Duration(plan.layout().targets())
	default:
		plan.Interval = time.Second / 100
	}
	return c.measure(a, plan)
}
