package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/storecheck"
)

// Verify is laneway store verify.
type Verify struct {
	Store cli.StoreLocation `arg:"" optional:"" default:"./laneway-data/objects" env:"LANEWAY_STORE" help:"The object store: a path, or a URL such as s3://bucket/prefix; see docs/stores.md (default: ${default})."`
	NATS  string            `name:"nats" env:"LANEWAY_NATS,NATS_URL" placeholder:"URL" help:"The NATS servers with the logs to compare with; by default only the objects are checked."`
	JSON  bool              `name:"json" help:"Print the report as a JSON object."`
}

// Help implements kong.HelpProvider.
func (*Verify) Help() string {
	return `Reads every object of the store and checks its header, index and checksums. With --nats it also reads all logs, and names the topics, partitions and offsets
whose records cannot be read because an object is damaged or missing. It changes nothing, and works while Laneway runs.
With --nats, it needs the same full rights to NATS as the services. NATS must be running; the services need not be.

The exit code is 1 if anything is damaged, missing or unreadable, and 6 if the store is not that of the given server. If only the marker
of the store was lost, its objects are still compared with the logs, and the report says how to write the marker again.

Objects that no log needs wait for a sweep to delete them. They are counted but are no error: they are those of batches that are archived,
sent twice or rejected, of deleted topics, and of batches still under way. A torn object to which no log refers is an upload that is under way, or one whose
process was killed. Without --nats, it counts as damaged. docs/repair.md says what to do about damage.

Examples:

    laneway store verify --nats nats://127.0.0.1:4222

    laneway store verify /backup/objects

    laneway store verify 's3://bucket/prefix?region=eu-central-1'`
}

// Run checks the store and prints the report.
func (c *Verify) Run(a *cli.App) error {
	candidate, err := open(a, c.Store)
	if err != nil {
		return err
	}
	defer func() { _ = candidate.Store.Close() }()
	checker := storecheck.Checker{Store: candidate}
	if c.NATS != "" {
		laneway, err := cli.Connect(c.NATS, "--nats")
		if err != nil {
			return err
		}
		defer laneway.Close()
		checker.Conn = laneway.Conn()
		if checker.JS, err = jetstream.New(checker.Conn); err != nil {
			return err
		}
	}
	activity := cli.NewActivity(a.Stderr)
	waiting := cli.AwaitStore(a.Stderr, c.Store)
	checker.Progress = func(p storecheck.Progress) {
		waiting.End()
		activity.Show(describeProgress(p))
	}
	report, err := checker.Check(a.Ctx)
	waiting.End()
	activity.Close()
	if err != nil {
		return cli.ExplainStore(c.Store, err)
	}
	return errors.Join(show(a, c.JSON, report, describe(report)), conclude(report))
}

func describeProgress(p storecheck.Progress) string {
	text := fmt.Sprintf("read %s, %s", cli.Count(p.Objects, "object"), humanize.IBytes(uint64(p.Bytes)))
	if p.Entries > 0 {
		text += fmt.Sprintf(", and %s of logs", cli.Count(p.Entries, "entry"))
	}
	return text
}

// conclude returns the error of a report; nil if nothing is wrong.
func conclude(r *storecheck.Report) error {
	var wrong, advice []string
	unreadable := slices.ContainsFunc(r.Damaged, func(o *storecheck.Object) bool { return o.Damage == storecheck.Unreadable })
	if n := int64(len(r.Damaged)) + r.MoreDamaged; n > 0 {
		wrong = append(wrong, "damaged, missing or unreadable: "+cli.Count(n, "object"))
		if r.Store.Marker == "" { // otherwise it is perhaps the wrong store
			advice = append(advice, "restore them from a copy of the store that was made after they were stored; a key is the path below the store")
		}
	}
	if len(r.Store.Errors) > 0 {
		wrong = append(wrong, "not all of the store can be read")
	}
	if r.Store.Marker != "" {
		wrong = append(wrong, r.Store.Marker)
	}
	if unreadable || len(r.Store.Errors) > 0 {
		advice = append(advice, "check the path or URL, and the permissions")
	}
	if r.Store.Marker != "" {
		advice = append(advice, r.Store.Advice)
	}
	if r.Logs != nil && len(r.Logs.Problems) > 0 {
		wrong = append(wrong, "logs are damaged, so not everything that they referred to is known")
		advice = append(advice, "see what they have lost with: laneway topic repair TOPIC --store URL")
	}
	if len(wrong) == 0 {
		return nil
	}
	return cli.Advise(errors.New(strings.Join(wrong, "; ")), strings.Join(advice, "; "))
}
