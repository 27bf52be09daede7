package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/selftest"
	"laneway.dev/internal/storeid"
)

// Check is laneway store check.
type Check struct {
	Store cli.StoreLocation `arg:"" optional:"" default:"./laneway-data/objects" env:"LANEWAY_STORE" help:"The object store: a path, or a URL such as s3://bucket/prefix; see docs/stores.md (default: ${default})."`
}

// Help implements kong.HelpProvider.
func (*Check) Help() string {
	return `Puts a small probe object into the store, reads a part of the probe, lists it and deletes it. The command also tries what the store
must refuse: a second put of the same key, and bytes that do not match their hash. For each step that fails, it prints the cause, such
as a missing right, and what to do. The command needs no server, touches no other object, and works while Laneway runs.

The exit code is 1 if something does not work that Laneway needs.

Examples:

    laneway store check 's3://bucket/prefix?region=eu-central-1'

    laneway store check ./laneway-data/objects`
}

// Run tries the store and prints what it has found out.
func (c *Check) Run(a *cli.App) error {
	candidate, err := open(a, c.Store)
	if err != nil {
		return err
	}
	defer func() { _ = candidate.Store.Close() }()
	waiting := cli.AwaitStore(a.Stderr, c.Store)
	defer waiting.End()
	findings, err := selftest.Run(a.Ctx, candidate.Store)
	if err != nil {
		return err
	}
	owner := c.identity(a.Ctx, candidate, findings)
	waiting.End()
	text, verdict := describeFindings(c.Store.Scheme(), findings)
	if err := cli.Say(a.Stdout, "object store %s\n  %s\n%s", candidate.Place, owner, text); err != nil {
		return err
	}
	return verdict
}

// markerTime bounds the reads of the marker.
const markerTime = 30 * time.Second

// identity describes the marker of a store.
func (c *Check) identity(ctx context.Context, candidate storeid.Candidate, findings []selftest.Finding) string {
	if f := selftest.Failed(findings); f != nil && errors.Is(f.Err, objectstore.ErrUnreachable) {
		return c.unreadable(f.Err) // a request for the marker would not be answered either
	}
	ctx, cancel := context.WithTimeout(ctx, markerTime)
	defer cancel()
	_, err := candidate.Store.Marker(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", objectstore.ErrUnreachable, err)
	}
	switch {
	case errors.Is(err, objectstore.ErrNotFound):
		return "it has no marker: no Laneway uses it yet, or the marker was lost"
	case errors.Is(err, objectstore.ErrDenied) && works(findings, selftest.Read):
		// S3 denies reading an object that does not exist to those who may not list.
		return "whether it has a marker cannot be seen without the right to list objects"
	case err != nil:
		return c.unreadable(err)
	}
	id, cluster, err := storeid.Identity(ctx, candidate)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("store %s of cluster %s", id, cluster)
}

func (c *Check) unreadable(err error) string {
	sentence, _ := selftest.Cause(c.Store.Scheme(), selftest.Read, err)
	return "its marker cannot be read: " + sentence
}

// works reports whether a step was tried and works.
func works(findings []selftest.Finding, step selftest.Step) bool {
	return slices.ContainsFunc(findings, func(f selftest.Finding) bool { return f.Step == step && f.Err == nil && !f.Skipped })
}

// describeFindings describes the outcome of all steps. The verdict is the error of the command;
// nil if Laneway can use the store.
func describeFindings(scheme string, findings []selftest.Finding) (text string, verdict error) {
	var lines strings.Builder
	var failed, advice []string
	before := ""
	for i := range findings {
		f := &findings[i]
		line, help := describeFinding(scheme, f)
		if f.Err != nil {
			failed = append(failed, string(f.Step))
			if help != "" && !slices.Contains(advice, help) {
				advice = append(advice, help)
			}
			if line == before {
				line = "fails for the same reason"
			} else {
				before = line
			}
		}
		_, _ = fmt.Fprintf(&lines, "  %-12s %s\n", f.Step, line)
	}
	if len(failed) == 0 {
		lines.WriteString("Laneway can use this store\n")
		return lines.String(), nil
	}
	verdict = fmt.Errorf("this store cannot be used by Laneway; what does not work: %s", strings.Join(failed, ", "))
	if len(advice) > 0 {
		verdict = cli.Advise(verdict, strings.Join(advice, "; "))
	}
	return lines.String(), verdict
}

// describeFinding describes the outcome of a step, and what to do if it fails.
func describeFinding(scheme string, f *selftest.Finding) (text, advice string) {
	switch {
	case f.Skipped:
		return "not tried: it needs a step that has failed", ""
	case f.Err != nil:
		return selftest.Cause(scheme, f.Step, f.Err)
	case f.Lacks != "":
		return "works, but " + f.Lacks, ""
	}
	return fmt.Sprintf("works, %v", f.Took.Round(100*time.Microsecond)), ""
}
