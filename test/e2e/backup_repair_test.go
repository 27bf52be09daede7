package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// acceptingCommands returns the commands with which docs/operation.md accepts that logs and store are not
// from the same time, in their order, for this deployment.
func (f *fixture) acceptingCommands(t *testing.T, topic, export string) (commands [][]string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operation.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)with these commands, in this order:\n\n```\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/operation.md has no such commands")
	}
	text := strings.NewReplacer("'s3://bucket/prefix?region=eu-central-1'", f.Store, "nats://127.0.0.1:4222", f.URL(), "orders", topic, "lost.jsonl", export).Replace(string(block[1]))
	for line := range strings.Lines(text) {
		commands = append(commands, strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "laneway ")))
	}
	if len(commands) != 4 {
		t.Fatalf("the commands are %q", commands)
	}
	return commands
}

// TestOperatorAcceptsThatOnlyOnePartWasRestored restores only the logs, or only the store, from an older
// copy, in such a way that the store does not have the manifest that a log names. It runs the
// commands of docs/operation.md, and then Laneway works as before.
func TestOperatorAcceptsThatOnlyOnePartWasRestored(t *testing.T) {
	t.Parallel()
	for reason, c := range map[string]struct {
		folder   func(f *fixture) string
		readOnly bool
	}{
		"log older":   {func(f *fixture) string { return f.Data }, true},
		"store older": {func(f *fixture) string { return f.Objects() }, false},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			ctx := within(t, 3*time.Minute)
			f := start(t, deployment.OneProcess, sweeping(time.Second))
			s := f.publishSeries(ctx, t, f.client(t, f.URL()), "kept")
			f.awaitSweeps(ctx, sweeps)
			var restore func()
			f.restartAfter(ctx, func() { restore = copyOf(t, c.folder(f)) })
			f.AwaitReady(ctx)
			if err := s.publish(ctx, f.client(t, f.URL())); err != nil { // once more
				t.Fatal(err)
			}
			f.awaitArchived(ctx, t, s.Partition)
			f.awaitSweeps(ctx, sweeps)
			f.restartAfter(ctx, restore)
			f.awaitEndedSweeps(ctx, 1)
			if got, err := f.alarm(ctx); err != nil || got != reason {
				t.Fatalf("the alarm is %q, %v, want %q", got, err, reason)
			}
			taken := 0
			if c.readOnly {
				f.awaitReadOnlyPage(ctx, t)
			} else {
				f.AwaitReady(ctx)
				taken = f.tryThreeRecords(ctx, t, s.ProduceSubject())
			}

			export := filepath.Join(t.TempDir(), "lost.jsonl")
			commands := f.acceptingCommands(t, "kept", export)
			f.exits(ctx, t, 1, commands[0], "cannot be read")
			f.exits(ctx, t, 0, commands[1], "partition 0: DAMAGED", "--accept-loss continues it at offset", "cannot be read")
			again := f.tryThreeRecords(ctx, t, s.ProduceSubject())
			if again < taken {
				t.Error("the report has made the partition read-only")
			}
			if c.readOnly && again > 0 {
				t.Error("the partition takes records although its log is older than the store")
			}
			f.exits(ctx, t, 0, commands[2], "partition 0 continues at offset", "history: offsets 0 to")
			f.exits(ctx, t, 0, commands[3], "goes by the logs as they are")

			f.awaitSweeps(ctx, 2)
			if got, err := f.alarm(ctx); err != nil || got != "" {
				t.Errorf("after it was accepted, the alarm is %q, %v", got, err)
			}
			f.expectSeriesAndGap(ctx, t, s)
			if c.readOnly { // otherwise the log refers to objects that are not there
				f.awaitNothingWaits(ctx, t)
			}
			f.exits(ctx, t, 0, commands[1], "partition 0: nothing is missing")
		})
	}
}

// exits runs a command, and checks its exit code and what it says.
func (f *fixture) exits(ctx context.Context, t *testing.T, want int, args []string, words ...string) string {
	t.Helper()
	if slices.Contains(args, "repair") {
		args = append(slices.Clone(args), "--server", f.URL())
	}
	code, output, err := deployment.ExitCode(f.Laneway(ctx, args...))
	if err != nil || code != want {
		t.Fatalf("%q: exit code %d (%v), want %d:\n%s", args, code, err, want, output)
	}
	for _, word := range words {
		if !strings.Contains(output, word) {
			t.Errorf("%q does not say %q:\n%s", args, word, output)
		}
	}
	return output
}

// tryThreeRecords sends three records, and returns how many were acknowledged.
func (f *fixture) tryThreeRecords(ctx context.Context, t *testing.T, subject string) (acknowledged int) {
	t.Helper()
	for n := range 3 {
		ack := f.request(ctx, t, &nats.Msg{Subject: subject, Data: fmt.Appendf(nil, "before the repair %d", n)})
		if ack.Error == nil {
			acknowledged++
		}
	}
	return acknowledged
}

// awaitReadOnlyPage returns when the replicator shows that a log is older than the store.
func (f *fixture) awaitReadOnlyPage(ctx context.Context, t *testing.T) {
	t.Helper()
	f.awaitPage(ctx, t, deployment.Replicator, "readyz", "is older than the object store")
}

// expectSeriesAndGap reads a partition from its beginning: the series, other records with rising
// offsets, and at most gaps. A record that is sent then is the last one.
func (f *fixture) expectSeriesAndGap(ctx context.Context, t *testing.T, s *series) {
	t.Helper()
	var ack protocol.ProduceAck
	err := deployment.Eventually(ctx, func(context.Context) error {
		// The frontend changes to another epoch, so the outcome of a batch may be unknown.
		if ack = f.request(ctx, t, &nats.Msg{Subject: s.ProduceSubject(), Data: []byte("after the repair")}); ack.Error != nil {
			return ack.Error
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	gaps, next, last := 0, int64(0), ""
	c := f.client(t, f.URL()).Consumer(client.ConsumerOptions{Topic: s.Topic, Partition: &s.Number, SkipCorrupt: true, OnGap: func(client.Gap) { gaps++ }})
	for r, err := range c.Records(ctx) {
		if err == nil && r.Offset < s.records {
			err = s.check(&r)
		}
		if err != nil || r.Offset < next || r.Offset < s.records && r.Offset != next {
			t.Fatalf("offset %d after %d: %v", r.Offset, next-1, err)
		}
		next, last = r.Offset+1, string(r.Value)
	}
	if next != ack.Offset+1 || last != "after the repair" || gaps == 0 {
		t.Errorf("the last record is %q at offset %d, want that at %d; %d gaps", last, next-1, ack.Offset, gaps)
	}
}
