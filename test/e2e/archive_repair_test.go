package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/pkg/client"
	"laneway.dev/test/deployment"
)

// TestRepairedLogIsArchivedAfterItsHistory accepts the loss of a log whose records are archived. The
// log that continues it is archived like any other, and consumers read both from the beginning.
func TestRepairedLogIsArchivedAfterItsHistory(t *testing.T) {
	t.Parallel() // it waits most of the time
	for _, c := range []struct {
		name      string
		snapshots bool // whether the log has snapshots when it is repaired
	}{{"with snapshots", true}, {"without snapshots", false}} {
		t.Run(c.name, func(t *testing.T) {
			ctx := within(t, 2*time.Minute)
			f := start(t, deployment.OneProcess, deployment.Options{Replicator: []string{"--archive-bytes", "1MiB", "--archive-age", "1s"}})
			before := &series{Partition: f.partition, records: 600}
			if err := before.publish(ctx, f.client(t, f.URL())); err != nil {
				t.Fatal(err)
			}
			archived := f.awaitArchived(ctx, t, f.partition).History

			f.Kill(deployment.Serve)
			f.removeBlocks(t, logtest.Of(t, f.conn, f.partition).Stream())
			if !c.snapshots {
				f.removeBlocks(t, "LANEWAY_SNAPSHOTS")
			}
			f.Restart(deployment.Serve)
			f.AwaitConnected(ctx, f.conn)
			f.repair(ctx, t, "orders", "--store", f.Store, "--accept-loss")
			f.takesRecords(ctx, t)

			next := f.partition
			next.Incarnation++
			after := &series{Partition: f.partition, records: 800}
			if err := after.publish(ctx, f.client(t, f.URL())); err != nil {
				t.Fatal(err)
			}
			state := f.awaitArchived(ctx, t, next)
			m := f.manifest(t, state.History)
			if s := m.Segments; s[0].Incarnation != 0 || s[0].Base != 0 || m.Partition.Incarnation != 1 || m.Start != archived.Start {
				t.Errorf("the manifest is %+v, the history was %+v", m, archived)
			}

			f.forget(ctx)
			c := f.client(t, f.URL())
			if err := readRepaired(ctx, c, before, after); err != nil {
				t.Error(err)
			}
			f.verifyStore(ctx, t, 0, []string{"nothing is damaged"}, "--nats", f.URL())
		})
	}
}

// removeBlocks removes the messages of a stream while its server is down.
func (f *fixture) removeBlocks(t *testing.T, stream string) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(f.Data, "nats", "jetstream", "$G", "streams", stream, "msgs", "*.blk"))
	if err == nil && len(blocks) == 0 {
		err = errors.New("the stream has no blocks")
	}
	for _, block := range blocks {
		err = errors.Join(err, os.Remove(block))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// readRepaired reads a partition from its beginning: the records of one series, the first record
// after the loss, and the records of another series.
func readRepaired(ctx context.Context, c *client.Client, before, after *series) error {
	next := int64(0)
	for r, err := range c.Consumer(client.ConsumerOptions{Topic: before.Topic, Partition: &before.Number}).Records(ctx) {
		if err != nil {
			return fmt.Errorf("after %d records: %w", next, err)
		}
		want := "after the loss"
		switch {
		case next < before.records:
			want = string(before.record(next).Value)
			if r.Offset != next {
				return fmt.Errorf("offset %d follows %d", r.Offset, next-1)
			}
		case next > before.records:
			want = string(after.record(next - before.records - 1).Value)
		}
		if string(r.Value) != want {
			return fmt.Errorf("record %d, at offset %d, is %.80q, want %.80q", next, r.Offset, r.Value, want)
		}
		next++
	}
	if want := before.records + 1 + after.records; next != want {
		return fmt.Errorf("%d records, want %d", next, want)
	}
	return nil
}
