package e2e

import (
	"context"
	"io/fs"
	"os"
	"testing"
	"time"

	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

// sweeps is after how many sweeps nothing of a deleted topic is left. Three are enough if the owners
// of logs follow the generation in time. They look once a second, which is late for so short an interval.
const sweeps = 4

// objectKeys returns the keys of the objects that are not about the store itself.
func (f *fixture) objectKeys() (keys []string, err error) {
	for _, kind := range []string{"objects", "o", "s", "m"} {
		err := fs.WalkDir(os.DirFS(f.Objects()), kind, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				keys = append(keys, path)
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	return keys, nil
}

// awaitSweeps returns when so many complete sweeps were made since the archiver has started.
func (f *fixture) awaitSweeps(ctx context.Context, n float64) {
	f.AwaitMetric(ctx, deployment.Archiver, `laneway_archiver_sweeps_total{result="complete"}`, func(v float64) bool { return v >= n })
}

// TestDeletedTopicsLeaveNothing deletes one of two topics whose batches share objects, and then
// the other one. Every process is killed after each.
func TestDeletedTopicsLeaveNothing(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.RoleProcesses, deployment.Options{
		Stager:     []string{"--linger", "20ms"},
		Replicator: []string{"--archive-bytes", "1KiB", "--archive-age", "300ms"},
		Archiver:   []string{"--sweep-interval", "2s"},
	})
	kept := f.CreateTopic(f.conn, "kept").Partition(0)
	var fleets []*load.Fleet
	for _, p := range []load.Config{{Partition: f.partition, Name: "deleted"}, {Partition: kept, Name: "kept"}} {
		p.Producers, p.InFlight, p.Patience = 2, 8, time.Minute
		fleet, err := load.NewFleet(f.conn, p)
		if err != nil {
			t.Fatal(err)
		}
		fleets = append(fleets, fleet)
	}
	sent := make(chan error, 1)
	go func() { sent <- fleets[0].Send(ctx, 100) }()
	if err := fleets[1].Send(ctx, 100); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	f.awaitArchived(ctx, t, f.partition)
	f.awaitArchived(ctx, t, kept)

	f.deleteAndKill(ctx, t, f.partition.Topic)
	f.partition = kept
	f.verify(ctx, t, fleets[1].Batches())
	f.awaitNothingWaits(ctx, t)

	f.deleteAndKill(ctx, t, kept.Topic)
	if keys, err := f.objectKeys(); err != nil || len(keys) > 0 {
		t.Errorf("%d objects are left, %v: %q", len(keys), err, keys)
	}
}

// deleteAndKill deletes a topic, kills every process, and lets the store be swept.
func (f *fixture) deleteAndKill(ctx context.Context, t *testing.T, topic string) {
	t.Helper()
	f.DeleteTopic(f.conn, topic)
	for _, role := range f.Roles() {
		f.Kill(role)
		f.Restart(role)
	}
	f.AwaitReady(ctx)
	f.AwaitConnected(ctx, f.conn)
	f.awaitSweeps(ctx, sweeps)
}
