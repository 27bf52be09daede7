package e2e

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/objectstore"
	"laneway.dev/pkg/client"
	"laneway.dev/test/deployment"
	"laneway.dev/test/s3server"
	"laneway.dev/test/storeproxy"
)

// objectsByKind counts the objects of a store in a folder.
func (f *fixture) objectsByKind(t *testing.T) map[objectstore.Kind]int {
	t.Helper()
	counts := make(map[objectstore.Kind]int)
	root := f.Objects()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(root, path)
		counts[objectstore.KeyKind(filepath.ToSlash(key))]++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// TestQuietTopicNeedsNoUploads publishes records one by one. Their payloads travel in the log, and
// each archive interval costs at most a segment and a manifest.
func TestQuietTopicNeedsNoUploads(t *testing.T) {
	t.Parallel()
	const records, interval = 30, 2 * time.Second
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{Replicator: []string{"--archive-bytes", "1MiB", "--archive-age", interval.String()}})
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for n := range records {
		if _, err := js.Publish(ctx, f.partition.ProduceSubject(), []byte(strconv.Itoa(n))); err != nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(100 * time.Millisecond): // a quiet topic
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
	read := func() {
		t.Helper()
		n := 0
		for record, err := range f.client(t, f.URL()).Consumer(client.ConsumerOptions{Topic: f.partition.Topic, MaxRecords: records}).Records(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if string(record.Value) != strconv.Itoa(n) || record.Offset != int64(n) {
				t.Fatalf("record %d is %q at offset %d", n, record.Value, record.Offset)
			}
			n++
		}
		if n != records {
			t.Errorf("%d records are read, want %d", n, records)
		}
	}
	read()
	f.awaitArchived(ctx, t, f.partition)
	intervals := int(time.Since(began)/interval) + 1
	read()
	counts := f.objectsByKind(t)
	if counts[objectstore.KindBatches] > 0 || counts[objectstore.KindSegment]+counts[objectstore.KindManifest] > 2*intervals {
		t.Errorf("the store has %v after %d archive intervals", counts, intervals)
	}
	if n := f.MustMetric(deployment.Stager, "laneway_stager_inline_total"); n != records {
		t.Errorf("%v batches were returned inline, want %d", n, records)
	}
	f.Kill(f.Of(deployment.Replicator))
	f.Restart(f.Of(deployment.Replicator))
	f.AwaitReady(ctx)
	read()
}

// TestSmallRecordsDoNotWaitForASlowStore compares the latency of single records with that of the
// store, whose puts take 100 ms.
func TestSmallRecordsDoNotWaitForASlowStore(t *testing.T) {
	const records = 100
	ctx := within(t, time.Minute)
	proxy := storeproxy.Start(t, s3server.Start(t).Address)
	f := start(t, deployment.OneProcess, deployment.Options{
		Store: s3server.Location(proxy.Endpoint(), "quiet"), Replicator: []string{"--archive-bytes", "1MiB"},
	})
	proxy.Set(storeproxy.Faults{PutDelay: 100 * time.Millisecond})
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for range records {
		began := time.Now()
		if _, err := js.PublishMsg(ctx, &nats.Msg{Subject: f.partition.ProduceSubject(), Data: make([]byte, 1024)}); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("p50 %s, p90 %s, longest %s", took[records/2], took[records*9/10], took[records-1])
	if took[records/2] > 50*time.Millisecond {
		t.Errorf("half of the records took %s or longer", took[records/2])
	}
}
