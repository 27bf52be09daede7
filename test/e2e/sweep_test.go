package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// storedOf counts the objects of a kind.
func (f *fixture) storedOf(kind objectstore.Kind) (n int) {
	_ = filepath.WalkDir(f.Objects(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // it was deleted meanwhile
		}
		if key, err := filepath.Rel(f.Objects(), path); err == nil && objectstore.KeyKind(filepath.ToSlash(key)) == kind {
			n++
		}
		return nil
	})
	return n
}

func (f *fixture) awaitStored(ctx context.Context, t *testing.T, kind objectstore.Kind, want int) {
	t.Helper()
	err := deployment.Eventually(ctx, func(context.Context) error {
		if n := f.storedOf(kind); n != want {
			return fmt.Errorf("%d objects %s are stored, want %d", n, kind, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sweeping(interval time.Duration) deployment.Options {
	return deployment.Options{
		Replicator: []string{"--archive-bytes", "64KiB", "--archive-age", "500ms"},
		Archiver:   []string{"--sweep-interval", interval.String()},
	}
}

// publishSeries creates a topic and publishes records to it, which are archived.
func (f *fixture) publishSeries(ctx context.Context, t *testing.T, c *client.Client, name string) *series {
	t.Helper()
	topic, err := c.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: name, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := &series{Partition: topic.Partition(0), records: 1000}
	if err := s.publish(ctx, c); err != nil {
		t.Fatal(err)
	}
	f.awaitArchived(ctx, t, s.Partition)
	return s
}

func TestObjectsGoOnceTheirBatchesAreArchived(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.OneProcess, sweeping(2*time.Second))
	c := f.client(t, f.URL())
	s := f.publishSeries(ctx, t, c, "kept")
	f.awaitStored(ctx, t, objectstore.KindBatches, 0)
	if err := s.follow(ctx, c); err != nil {
		t.Errorf("from the beginning: %v", err)
	}
	if n := f.storedOf(objectstore.KindSegment); n == 0 {
		t.Error("there are no segments")
	}
}

// TestOneDamagedLogStopsSweepsAndIsNamed damages the log of one of two topics, and deletes that topic.
func TestOneDamagedLogStopsSweepsAndIsNamed(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.OneProcess, sweeping(time.Second))
	f.publishSeries(ctx, t, f.client(t, f.URL()), "whole")
	since := func(satisfied func(float64) bool) {
		t.Helper()
		f.AwaitMetric(ctx, deployment.Archiver, "laneway_archiver_sweep_incomplete_since_seconds", satisfied)
	}
	f.awaitSweeps(ctx, 1)
	began := time.Now().Truncate(time.Second)
	state, err := f.logState(ctx, f.partition)
	if err != nil {
		t.Fatal(err)
	}
	logtest.Of(t, f.conn, f.partition).Append(state.LastSequence, []byte("no entry"))
	since(func(v float64) bool { return v >= float64(began.Unix()) })
	text, usage := f.storeUsage(ctx, t, 1)
	if e := usage.Sweeps; e == nil || e.Partition != "orders/0" || e.Since.Before(began) || !strings.Contains(e.Reason, "the log of partition orders/0 cannot be read") {
		t.Errorf("sweeps have ended by %+v", e)
	}
	if !strings.Contains(text, "! no sweep was complete since ") {
		t.Errorf("store usage says\n%s", text)
	}
	f.DeleteTopic(f.conn, "orders")
	since(func(v float64) bool { return v == 0 })
	f.awaitNothingWaits(ctx, t)
	if _, usage := f.storeUsage(ctx, t, 0); usage.Sweeps != nil {
		t.Errorf("after the topic was deleted, sweeps have ended by %+v", usage.Sweeps)
	}
}
