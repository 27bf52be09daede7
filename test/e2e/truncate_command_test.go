package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// truncateCommand runs laneway topic truncate, and returns the offset at which the partition then starts.
func (f *fixture) truncateCommand(ctx context.Context, t *testing.T, s *series, before string) int64 {
	t.Helper()
	var said protocol.TopicTruncateResponse
	out := f.Output(f.Laneway(ctx, "topic", "truncate", s.Topic, "--partition", "0", "--before", before, "--json"), nil)
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return said.StartOffset
}

// TestTruncateCommand truncates by an offset and by a time.
func TestTruncateCommand(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{Replicator: []string{"--archive-bytes", "64KiB", "--archive-age", "1h"}})
	c := f.client(t, f.URL())
	topic, err := c.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "truncated"})
	if err != nil {
		t.Fatal(err)
	}
	s := &series{Partition: topic.Partition(0), records: 100}
	begin := time.Now()
	if err := s.publish(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := s.read(ctx, c, begin, time.Now()); err != nil {
		t.Fatal(err)
	}
	said := f.Output(f.Laneway(ctx, "topic", "truncate", s.Topic, "--partition", "0", "--before", "7"), nil)
	if want := "partition 0 of topic truncated starts at offset 7\n"; said != want {
		t.Errorf("by an offset, it says %q, want %q", said, want)
	}
	if err := s.readRest(ctx, c, 7, client.ConsumerOptions{}); err != nil {
		t.Error(err)
	}
	if start := f.truncateCommand(ctx, t, s, "3"); start != 7 {
		t.Errorf("a lower offset moves the start to %d", start)
	}
	// Records of the same entry have the same time.
	at := s.times[60]
	first := int64(60)
	for s.times[first-1].Equal(at) {
		first--
	}
	if start := f.truncateCommand(ctx, t, s, at.Format(time.RFC3339Nano)); start != first {
		t.Errorf("the time of offset %d moves the start to %d", first, start)
	}
	if err := s.readRest(ctx, c, first, client.ConsumerOptions{}); err != nil {
		t.Error(err)
	}
	code, out, err := deployment.ExitCode(f.Laneway(ctx, "topic", "truncate", s.Topic, "--partition", "0", "--before", time.Now().AddDate(1, 0, 0).Format(time.RFC3339)))
	if err != nil || code != 1 || !strings.Contains(out, "is in the future") {
		t.Errorf("in the future: exit code %d, %v:\n%s", code, err, out)
	}
	if err := s.readRest(ctx, c, first, client.ConsumerOptions{}); err != nil {
		t.Error(err)
	}
	if start := f.truncateCommand(ctx, t, s, time.Now().Format(time.RFC3339Nano)); start != s.records {
		t.Errorf("the present time moves the start to %d", start)
	}
	code, out, err = deployment.ExitCode(f.Laneway(ctx, "topic", "truncate", s.Topic, "--partition", "0", "--before", "101"))
	if err != nil || code != 1 || !strings.Contains(out, "before is 101, beyond the end of the partition: its next record gets the offset 100") {
		t.Errorf("above the end: exit code %d, %v:\n%s", code, err, out)
	}
}

// TestTruncationWaitsForArchivers truncates records that are not archived while no archiver runs.
func TestTruncationWaitsForArchivers(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	f := start(t, deployment.RoleProcesses, deployment.Options{Replicator: []string{"--archive-bytes", "64MiB", "--archive-age", "1h"}})
	f.Terminate(deployment.Archiver)
	c := f.client(t, f.URL())
	s := &series{Partition: f.partition, records: 50}
	if err := s.publish(ctx, c); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, err := c.Admin().TruncateTopic(short, s.Topic, s.Number, 30)
	if err == nil {
		t.Fatal("it has succeeded without an archiver")
	}
	if err := s.readRest(ctx, c, 0, client.ConsumerOptions{}); err != nil {
		t.Errorf("before an archiver runs: %v", err)
	}
	command := f.Laneway(ctx, "topic", "truncate", s.Topic, "--partition", "0", "--before", "20")
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	f.Restart(deployment.Archiver)
	if err := command.Wait(); err != nil {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	// The replicator does not forget the first request, which nobody waits for any more.
	err = deployment.Eventually(ctx, func(ctx context.Context) error {
		if l, err := f.logState(ctx, s.Partition); err != nil || l.History.Start != 30 {
			return fmt.Errorf("the log starts at %d: %w", l.History.Start, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.readRest(ctx, c, 30, client.ConsumerOptions{}); err != nil {
		t.Error(err)
	}
}
