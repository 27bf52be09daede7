package store

import (
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/storeid"
	"laneway.dev/services/archiver/sweeper"
)

// Accept is laneway store accept.
type Accept struct {
	Store cli.StoreLocation `arg:"" optional:"" default:"./laneway-data/objects" env:"LANEWAY_STORE" help:"The object store: a path, or a URL such as s3://bucket/prefix; see docs/stores.md (default: ${default})."`
	NATS  string            `name:"nats" env:"LANEWAY_NATS,NATS_URL" default:"nats://127.0.0.1:4222" placeholder:"URL" help:"The NATS servers with the logs (default: ${default})."`
}

// Help implements kong.HelpProvider.
func (*Accept) Help() string {
	return `After only the logs or only the object store was restored from a copy, archivers delete nothing from the store, because
it may have what the logs have lost, and logs that are older than the store are read-only. This command ends that: it
removes the alarm and the records of all sweeps. Then the logs take records again, and the next sweep deletes what the
logs, as they are, do not need. This cannot be undone. First find out with laneway store verify
what is missing, and repair damaged topics with laneway topic repair: otherwise the next sweep raises the alarm again.

Example:

    laneway store accept 's3://bucket/prefix?region=eu-central-1' --nats nats://127.0.0.1:4222`
}

// Run removes the records of sweeps.
func (c *Accept) Run(a *cli.App) error {
	candidate, err := open(a, c.Store)
	if err != nil {
		return err
	}
	defer func() { _ = candidate.Store.Close() }()
	laneway, err := cli.Connect(c.NATS, "--nats")
	if err != nil {
		return err
	}
	defer laneway.Close()
	js, err := jetstream.New(laneway.Conn())
	if err != nil {
		return err
	}
	found, err := storeid.Examine(a.Ctx, js, candidate)
	if err == nil && found.Doubt != nil {
		err = found.Doubt
	}
	if err == nil {
		err = sweeper.Accept(a.Ctx, laneway.Conn(), js, found.Objects)
	}
	if err != nil {
		return cli.ExplainStore(c.Store, err)
	}
	return cli.Say(a.Stdout, "the next sweep of %s goes by the logs as they are\n", candidate.Place)
}
