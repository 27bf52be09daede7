package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// removeBatches deletes the objects that stagers have stored, as a collection does once all of their
// batches are archived.
func (f *fixture) removeBatches(t *testing.T) (removed int) {
	t.Helper()
	err := filepath.WalkDir(f.Objects(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(f.Objects(), path)
		if err != nil || objectstore.KeyKind(filepath.ToSlash(key)) != objectstore.KindBatches {
			return err
		}
		removed++
		return os.Remove(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return removed
}

// TestConsumerContinuesWhenItsObjectsAreCollected stops a consumer while it reads from the log. When it
// continues, its frontend still has batches in the queue that refer to deleted objects.
func TestConsumerContinuesWhenItsObjectsAreCollected(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{
		Frontend:   append([]string{"--cache-bytes", "1"}, uploadsAll...),
		Replicator: []string{"--archive-age", "3s"},
	})
	c := f.client(t, f.URL())
	topic, err := c.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "collected", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := &series{Partition: topic.Partition(0), records: 2000}
	if err := s.publish(ctx, c); err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	for r, err := range f.client(t, f.URL()).Consumer(client.ConsumerOptions{
		Topic: s.Topic, Partition: &s.Number, WindowBytes: 32 << 10, Follow: true, MaxRecords: s.records, Retries: 1,
	}).Records(ctx) {
		if err == nil {
			err = s.check(&r)
		}
		if err != nil || r.Offset != next {
			t.Fatalf("offset %d came, %d was expected: %v", r.Offset, next, err)
		}
		if next++; next == 1 {
			f.awaitArchived(ctx, t, s.Partition)
			if removed := f.removeBatches(t); removed == 0 {
				t.Fatal("there were no objects to remove")
			}
		}
	}
	if next != s.records {
		t.Errorf("%d records of %d", next, s.records)
	}
	if err := s.follow(ctx, c); err != nil {
		t.Errorf("from the beginning: %v", err)
	}
}
