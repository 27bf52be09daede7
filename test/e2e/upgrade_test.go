package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
)

// beforeHistory is the last commit whose logs have entries of version 6, without a history.
const beforeHistory = "4817eec"

// upgrade is the data of a Laneway, which one version after the other uses.
type upgrade struct {
	*fixture
	options deployment.Options
	path    string // of the file that a named producer feeds
	content string // of that file
}

// topics are those of an upgrade: one of them is compressed.
var upgradedTopics = map[string]protocol.Compression{"orders": protocol.CompressionNone, "packed": protocol.CompressionZstd}

// serve starts a version with some flags of the replicator.
func (u *upgrade) serve(t *testing.T, binary string, replicator ...string) {
	t.Helper()
	if u.fixture != nil {
		u.Terminate(deployment.Serve)
	}
	u.options.Binary, u.options.Replicator = binary, append([]string{"--snapshot-entries", "50"}, replicator...)
	u.fixture = &fixture{Deployment: deployment.Start(t, deployment.OneProcess, u.options)}
	u.conn = u.Connect()
}

// feedMore appends lines to the file, feeds it, and reads everything back. The named producer
// continues where an earlier version of it has stopped.
func (u *upgrade) feedMore(ctx context.Context, t *testing.T, lines int) {
	t.Helper()
	for n := range lines {
		u.content += fmt.Sprintf("%d after %d bytes\n", n, len(u.content))
	}
	if err := os.WriteFile(u.path, []byte(u.content), 0o600); err != nil {
		t.Fatal(err)
	}
	for topic := range upgradedTopics {
		u.Output(u.Laneway(ctx, "produce", "--name", "feed", "--batch-bytes", "200", topic, u.path), nil)
	}
	u.compare(ctx, t)
}

// compare reads the topics, which MUST have the lines of the file.
func (u *upgrade) compare(ctx context.Context, t *testing.T) {
	t.Helper()
	for topic := range upgradedTopics {
		if got := u.Output(u.Laneway(ctx, "consume", topic), nil); got != u.content {
			t.Fatalf("%s has %d bytes, want %d", topic, len(got), len(u.content))
		}
	}
}

// TestLogOfOlderVersionIsReadAndThenArchived starts Laneway on the data of a version that knows
// nothing of archiving, first without it.
func TestLogOfOlderVersionIsReadAndThenArchived(t *testing.T) {
	t.Parallel()
	older := deployment.BuildOlder(t, beforeHistory)
	ctx := within(t, 2*time.Minute)
	u := &upgrade{
		options: deployment.Options{Data: t.TempDir(), Store: filepath.Join(t.TempDir(), "objects")},
		path:    filepath.Join(t.TempDir(), "feed.txt"),
	}
	u.serve(t, older)
	partitions := make(map[string]protocol.Partition)
	for name, codec := range upgradedTopics {
		topic, err := client.New(u.conn).Admin().CreateTopic(ctx, protocol.TopicConfig{Name: name, Compression: codec})
		if err != nil {
			t.Fatal(err)
		}
		partitions[name] = topic.Partition(0)
	}
	u.feedMore(ctx, t, 3000)

	u.serve(t, "", "--archive-bytes", "0")
	u.compare(ctx, t)
	u.feedMore(ctx, t, 300)
	for topic, p := range partitions {
		entries, err := history.Entries(ctx, u.conn, p)
		if err == nil {
			err = history.Log(entries)
		}
		if err != nil || len(entries) < 100 || entries[len(entries)-1].Entry.History.Archived() {
			t.Errorf("%s has %d entries, some of them archived, %v", topic, len(entries), err)
		}
	}

	u.serve(t, "", "--archive-bytes", "64KiB", "--archive-age", "1s")
	u.compare(ctx, t)
	u.feedMore(ctx, t, 300)
	for _, p := range partitions {
		u.awaitArchived(ctx, t, p)
	}
	u.forget(ctx)
	u.compare(ctx, t)
	u.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", u.URL())
}
