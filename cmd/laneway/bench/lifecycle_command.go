package bench

import (
	"laneway.dev/cmd/laneway/cli"
)

// layoutFlags are the flags of work with many topics.
type layoutFlags struct {
	Partitions cli.Number  `default:"1" help:"Partitions of a topic. JetStream has a stream for each."`
	Topics     *cli.Number `placeholder:"N" help:"Topics, each with --partitions. Topics of one partition are then bound to a subject of their own, to which records are sent."`
}

func (f *layoutFlags) apply(plan *Plan) {
	plan.Partitions = int(f.Partitions)
	if f.Topics != nil {
		plan.Topics = int(*f.Topics)
	}
}

type createCommand struct {
	commonFlags
	layoutFlags
}

// Help implements kong.HelpProvider.
func (*createCommand) Help() string {
	return `The time counts until all topics or streams exist. Streams, and topics of one partition, are requested 16 at a time, other topics one after the other. Each partition or stream must then take a record, which is not part of that time.

Examples:

    laneway bench create --partitions 128 --versus jetstream

    laneway bench create --topics 100`
}

// Run runs the measurement and prints its report.
func (c *createCommand) Run(a *cli.App) error {
	plan := c.plan(Create, amountFlags{})
	c.apply(&plan)
	return c.measure(a, plan)
}

type restartCommand struct {
	commonFlags
	layoutFlags
	Producing *cli.Number `placeholder:"N" help:"Partitions that have producers before the restart; by default all."`
	Producers cli.Number  `default:"1" help:"Producers of each of these partitions. Each has sent a record to all of them."`
}

// Help implements kong.HelpProvider.
func (*restartCommand) Help() string {
	return `The servers are stopped in order. The time counts from when their processes are started again until every partition has acknowledged a record. Producers are idempotent, so that Laneway has to remember them. JetStream gets as many records.

Example:

    laneway bench restart --topics 4 --partitions 250 --producing 100 --producers 100`
}

// Run runs the measurement and prints its report.
func (c *restartCommand) Run(a *cli.App) error {
	plan := c.plan(Restart, amountFlags{})
	c.apply(&plan)
	plan.Producers, plan.Producing = int(c.Producers), plan.layout().targets()
	if c.Producing != nil {
		plan.Producing = int(*c.Producing)
	}
	return c.measure(a, plan)
}

type idleCommand struct {
	commonFlags
	layoutFlags
	Duration cli.Period `default:"10s" help:"How long the processor time is measured. The measurement begins as long after the topics were created."`
}

// Help implements kong.HelpProvider.
func (*idleCommand) Help() string {
	return `The memory of the processes before the topics are created is subtracted from that at the end of the measurement, and the difference is divided by the number of partitions. It includes what creating them has left to the garbage collector, so that few partitions seem to cost more than each of many. Nothing is sent to the partitions before they are measured.

Example:

    laneway bench idle --topics 2 --partitions 256`
}

// Run runs the measurement and prints its report.
func (c *idleCommand) Run(a *cli.App) error {
	plan := c.plan(Idle, amountFlags{Duration: c.Duration})
	c.apply(&plan)
	return c.measure(a, plan)
}
