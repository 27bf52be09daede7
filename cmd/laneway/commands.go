package main

import (
	"github.com/alecthomas/kong"

	"laneway.dev/cmd/laneway/bench"
	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/cluster"
	"laneway.dev/cmd/laneway/consume"
	"laneway.dev/cmd/laneway/demo"
	"laneway.dev/cmd/laneway/healthcheck"
	"laneway.dev/cmd/laneway/produce"
	"laneway.dev/cmd/laneway/producer"
	"laneway.dev/cmd/laneway/roles"
	"laneway.dev/cmd/laneway/serve"
	"laneway.dev/cmd/laneway/store"
	"laneway.dev/cmd/laneway/topic"
	"laneway.dev/cmd/laneway/version"
)

// commandLine is the grammar of the command line: every command and its flags.
type commandLine struct {
	Config kong.ConfigFlag `placeholder:"FILE" env:"LANEWAY_CONFIG" help:"JSON file that sets flags by their names, such as {\"object-bytes\": \"4MiB\"}. A variable wins over it, the command line over both."`

	Serve      serve.Command    `cmd:"" group:"run" help:"Run NATS with JetStream and the five services in one process."`
	Frontend   roles.Frontend   `cmd:"" group:"run" help:"Run a frontend: it takes what producers send, and serves consumers."`
	Stager     roles.Stager     `cmd:"" group:"run" help:"Run a stager: it uploads batches to the object store."`
	Sequencer  roles.Sequencer  `cmd:"" group:"run" help:"Run a sequencer: it puts staged batches back into their order."`
	Replicator roles.Replicator `cmd:"" group:"run" help:"Run a replicator: it commits batches to the logs of the partitions."`
	Archiver   roles.Archiver   `cmd:"" group:"run" help:"Run an archiver: it moves older parts of the logs into segments in the object store, and deletes objects that are not needed any more."`

	Topic    topic.Command    `cmd:"" group:"use" help:"Create, list, describe and delete topics."`
	Produce  produce.Command  `cmd:"" group:"use" help:"Send the lines of a file, or of standard input, as records."`
	Consume  consume.Command  `cmd:"" group:"use" help:"Print the records of a topic, a line each."`
	Producer producer.Command `cmd:"" group:"use" help:"Show what a topic remembers of its idempotent producers."`
	Demo     demo.Command     `cmd:"" group:"use" help:"Send a real file through Laneway with slow, out-of-order staging and compare what comes back."`

	Bench bench.Command `cmd:"" group:"use" help:"Measure Laneway, alone or against JetStream."`

	Cluster     cluster.Command     `cmd:"" group:"operate" help:"Show the instances of the services."`
	Store       store.Command       `cmd:"" group:"operate" help:"Check the object store."`
	Healthcheck healthcheck.Command `cmd:"" group:"operate" help:"Ask a process for its health; for images that have no shell."`
	Version     version.Command     `cmd:"" group:"operate" help:"Print the version."`

	NATSServer bench.NATSServer `cmd:"" name:"nats-server" hidden:"" help:"Run a plain NATS server, for bench."`
}

const description = `Ordered topics for NATS whose payloads live in object storage.

Every flag can be set by a variable as well, LANEWAY_OBJECT_BYTES for --object-bytes, or by a file (see --config).

` + cli.ExitCodes

// options returns what the help says beside the commands.
func options() []kong.Option {
	return []kong.Option{
		kong.Description(description),
		kong.ExplicitGroups([]kong.Group{
			{Key: "run", Title: "Run:"},
			{Key: "use", Title: "Use:"},
			{Key: "operate", Title: "Operate:"},
		}),
	}
}
