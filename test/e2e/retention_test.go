package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// archivesSoon has small parts of logs archived soon.
var archivesSoon = []string{"--archive-bytes", "64KiB", "--archive-age", "1s"}

// readRest reads all records that are left, of which the first one has an offset.
func (s *series) readRest(ctx context.Context, c *client.Client, first int64, options client.ConsumerOptions) error {
	options.Topic, options.Partition = s.Topic, &s.Number
	next := first
	for r, err := range c.Consumer(options).Records(ctx) {
		if err == nil {
			err = s.check(&r)
		}
		if err != nil {
			return err
		}
		if r.Offset != next {
			return fmt.Errorf("offset %d came, %d was expected", r.Offset, next)
		}
		next++
	}
	if next != s.records {
		return fmt.Errorf("the last record has offset %d, want %d", next-1, s.records-1)
	}
	return nil
}

// segmentBytes returns the bytes of all segments in the store.
func (f *fixture) segmentBytes(t *testing.T) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(f.Objects(), "s"), func(_ string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes += info.Size()
		}
		if errors.Is(err, os.ErrNotExist) {
			err = nil // it is deleted
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return bytes
}

// retain changes the retention of a topic.
func (f *fixture) retain(ctx context.Context, t *testing.T, u protocol.TopicUpdate) {
	t.Helper()
	if _, err := f.client(t, f.URL()).Admin().UpdateTopic(ctx, u); err != nil {
		t.Fatal(err)
	}
}

// TestRetentionDropsOldSegments keeps a part of a topic by its bytes, and then drops all of it by
// its age, while nothing is published.
func TestRetentionDropsOldSegments(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{Frontend: []string{"--cache-bytes", "1"}, Replicator: archivesSoon})
	c := f.client(t, f.URL())
	topic, err := c.Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "retained"})
	if err != nil {
		t.Fatal(err)
	}
	s := &series{Partition: topic.Partition(0), records: 400}
	begin := time.Now()
	if err := s.publish(ctx, c); err != nil {
		t.Fatal(err)
	}
	f.awaitLog(ctx, t, s.Partition, "it archived", func(l partitionlog.State) bool { return l.History.End.Offset >= s.records })
	if err := s.read(ctx, c, begin, time.Now()); err != nil {
		t.Fatal(err)
	}

	const kept = 300 << 10
	f.retain(ctx, t, protocol.TopicUpdate{Name: s.Topic, RetentionBytes: new(int64(kept))})
	state := f.awaitLog(ctx, t, s.Partition, "its oldest segments dropped", func(l partitionlog.State) bool {
		return l.History.Start > 0 && l.History.Bytes-l.History.OldestBytes < kept
	})
	first := state.History.Start
	if state.History.Bytes < kept || first >= s.records {
		t.Errorf("the history is %+v, and should have %d bytes at least", state.History, kept)
	}
	below, at := first-1, s.times[first]
	for name, options := range map[string]client.ConsumerOptions{
		"earliest": {}, "the start": {Offset: &first}, "the first time": {Time: &s.times[0]}, "the time below": {Time: &s.times[below]}, "the time of the start": {Time: &at},
	} {
		if err := s.readRest(ctx, c, first, options); err != nil {
			t.Errorf("from %s: %v", name, err)
		}
	}
	if err := s.readRest(ctx, c, below, client.ConsumerOptions{Offset: &below}); !errors.Is(err, protocol.NewError(protocol.CodeOffsetOutOfRange, "")) {
		t.Errorf("from below the start: %v", err)
	}

	f.verifyStore(ctx, t, 0, nil, "--nats", f.URL()) // nothing is missing

	f.retain(ctx, t, protocol.TopicUpdate{Name: s.Topic, RetentionAgeMS: new(int64(1000))})
	f.awaitLog(ctx, t, s.Partition, "all dropped", func(l partitionlog.State) bool { return l.History.Start == s.records && l.NextOffset == s.records })
	f.verifyStore(ctx, t, 0, nil, "--nats", f.URL())
	s.records = 0
	if err := s.readRest(ctx, c, 0, client.ConsumerOptions{}); err != nil {
		t.Errorf("after all was dropped: %v", err)
	}
	if ack := f.request(ctx, t, &nats.Msg{Subject: s.ProduceSubject(), Data: []byte("next")}); ack.Error != nil || ack.Offset != 400 {
		t.Errorf("the next record: %+v", ack)
	}
	f.awaitLog(ctx, t, s.Partition, "the next one dropped as well", func(l partitionlog.State) bool { return l.History.Start == l.NextOffset && l.NextOffset == 401 })
	if left := f.segmentBytes(t); left > 64<<10 {
		t.Errorf("%d bytes of segments are left", left)
	}
}

// TestProducersOutlastRetention drops all records of some producers. What the partition knows about
// them must not go with the records.
func TestProducersOutlastRetention(t *testing.T) {
	t.Parallel()
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{Replicator: archivesSoon})
		first := f.request(ctx, t, sequenced(4711, 0, 0, 0))
		if first.Error != nil {
			t.Fatalf("answer %+v", first)
		}
		f.retain(ctx, t, protocol.TopicUpdate{Name: f.partition.Topic, RetentionAgeMS: new(int64(1000))})
		f.awaitLog(ctx, t, f.partition, "all dropped", func(l partitionlog.State) bool { return l.NextOffset > 0 && l.History.Start == l.NextOffset })
		if ack := f.request(ctx, t, sequenced(4711, 0, 0, 0)); !ack.Duplicate || ack.Offset != first.Offset {
			t.Errorf("the retry of a dropped batch: %+v, its offset was %d", ack, first.Offset)
		}
		wantCode(t, f.request(ctx, t, sequenced(4711, 0, 2, 1)), protocol.CodeOutOfOrderSequence)
		if ack := f.request(ctx, t, sequenced(4711, 0, 1, 1)); ack.Error != nil || ack.Duplicate || ack.Offset != first.Offset+1 {
			t.Errorf("the next batch: %+v", ack)
		}
	})
}
