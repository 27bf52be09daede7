package main

import (
	"github.com/alecthomas/kong"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/cmd/laneway/store"
)

// commandLine is the grammar of the command line: every command and its flags.
type commandLine struct {
	Config kong.ConfigFlag `placeholder:"FILE" env:"LANEWAY_CONFIG" help:"JSON file that sets flags by their names, such as {\"object-bytes\": \"4MiB\"}. A variable wins over it, the command line over both."`

	Serve      serveCommand      `cmd:"" group:"run" help:"Run NATS with JetStream and the four services in one process."`
	Frontend   frontendCommand   `cmd:"" group:"run" help:"Run a frontend: it takes what producers send, and serves consumers."`
	Stager     stagerCommand     `cmd:"" group:"run" help:"Run a stager: it uploads batches to the object store."`
	Sequencer  sequencerCommand  `cmd:"" group:"run" help:"Run a sequencer: it puts staged batches back into their order."`
	Replicator replicatorCommand `cmd:"" group:"run" help:"Run a replicator: it commits batches to the logs of the partitions."`

	Topic    topicCommand    `cmd:"" group:"use" help:"Create, list, describe and delete topics."`
	Produce  produceCommand  `cmd:"" group:"use" help:"Send the lines of a file, or of standard input, as records."`
	Consume  consumeCommand  `cmd:"" group:"use" help:"Print the records of a topic, a line each."`
	Producer producerCommand `cmd:"" group:"use" help:"Show what a topic remembers of its idempotent producers."`
	Demo     demoCommand     `cmd:"" group:"use" help:"Send a real file through Laneway with slow, out-of-order staging and compare what comes back."`

	Bench benchCommand `cmd:"" group:"use" help:"Measure Laneway, alone or against JetStream."`

	Store       store.Command      `cmd:"" group:"operate" help:"Check the object store."`
	Healthcheck healthcheckCommand `cmd:"" group:"operate" help:"Ask a process for its health; for images that have no shell."`
	Version     versionCommand     `cmd:"" group:"operate" help:"Print the version."`

	NATSServer natsServerCommand `cmd:"" name:"nats-server" hidden:"" help:"Run a plain NATS server, for bench."`
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
