package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/storecheck"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// partitionInfo returns what laneway topic info shows of the only partition of a topic.
func (f *fixture) partitionInfo(ctx context.Context, t *testing.T, topic string) protocol.PartitionInfo {
	t.Helper()
	var info protocol.TopicResponse
	out := f.Output(f.Laneway(ctx, "topic", "info", topic, "--json"), nil)
	if err := json.Unmarshal([]byte(out), &info); err != nil || len(info.Partitions) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	return info.Partitions[0]
}

// TestRetentionIsUpdatedAndShown changes the retention of a topic by its commands, which drops records, and
// compares what topic info and store usage say with what is there.
func TestRetentionIsUpdatedAndShown(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{
		Frontend: []string{"--cache-bytes", "1"}, Replicator: archivesSoon, Archiver: []string{"--sweep-interval", "1s"},
	})
	c := f.client(t, f.URL())
	f.createTopic(ctx, t, "retained", "--retention-age", "30d")
	topic := f.topicInfo(ctx, t, "retained")
	s := &series{Partition: topic.Partition(0), records: 400}
	begin := time.Now()
	if err := s.publish(ctx, c); err != nil {
		t.Fatal(err)
	}
	f.awaitArchived(ctx, t, s.Partition)
	if err := s.read(ctx, c, begin, time.Now()); err != nil {
		t.Fatal(err)
	}
	f.showsHistory(ctx, t, s)

	said := f.update(ctx, s.Topic, "--retention-age", "0", "--retention-bytes", "300KiB")
	if want := "updated topic retained:\n  retention-age: 0, before: 30d\n  retention-bytes: 307,200, before: 0\n"; said != want {
		t.Errorf("the update says\n%s", said)
	}
	f.awaitLog(ctx, t, s.Partition, "its oldest segments dropped", func(l partitionlog.State) bool {
		return l.History.Start > 0 && l.History.Bytes-l.History.OldestBytes < 300<<10
	})
	if err := s.readRest(ctx, c, f.showsHistory(ctx, t, s), client.ConsumerOptions{}); err != nil {
		t.Error(err)
	}

	f.update(ctx, s.Topic, "--retention-age", "1s", "--retention-bytes", "0")
	f.awaitLog(ctx, t, s.Partition, "all dropped", func(l partitionlog.State) bool { return l.History.Start == s.records })
	if p := f.partitionInfo(ctx, t, s.Topic); p.StartOffset != s.records || p.EndOffset != s.records || p.Segments != 0 || p.OldestTime != nil {
		t.Errorf("after all was dropped, topic info says %+v", p)
	}
	f.awaitUsage(ctx, t, s.Topic, "nothing of the topic", func(topic storecheck.TopicUsage) bool { return topic.SegmentBytes == 0 && topic.Waiting.Bytes == 0 })

	f.update(ctx, s.Topic, "--retention-age", "0")
	if code, out, err := deployment.ExitCode(f.Shell(ctx, "seq 100 | laneway produce retained")); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v:\n%s", code, err, out)
	}
	f.awaitArchived(ctx, t, s.Partition)
	if p := f.partitionInfo(ctx, t, s.Topic); p.StartOffset != s.records || p.EndOffset != s.records+100 || p.ArchivedOffset != p.EndOffset {
		t.Errorf("without a retention, topic info says %+v", p)
	}
}

// showsHistory compares what topic info and store usage say of a series that is archived with the log. It
// returns the log start offset.
func (f *fixture) showsHistory(ctx context.Context, t *testing.T, s *series) int64 {
	t.Helper()
	l := f.awaitArchived(ctx, t, s.Partition)
	h := l.History
	m := f.manifest(t, h)
	p := f.partitionInfo(ctx, t, s.Topic)
	if p.StartOffset != h.Start || p.EndOffset != s.records || p.ArchivedOffset != h.End.Offset || p.Segments != len(m.Segments) || p.SegmentBytes != h.Bytes {
		t.Errorf("topic info says %+v, the history is %+v", p, h)
	}
	if at := s.times[h.Start]; p.OldestTime == nil || p.OldestTime.After(at) || p.OldestTime.Before(at.Add(-time.Minute)) {
		t.Errorf("the oldest record is of %s, topic info says %v", at, p.OldestTime)
	}
	text := f.Output(f.Laneway(ctx, "topic", "info", s.Topic), nil)
	for _, want := range []string{fmt.Sprint(h.Start), fmt.Sprint(s.records), fmt.Sprintf("%d, ", len(m.Segments)), p.OldestTime.Format(time.RFC3339)} {
		if !strings.Contains(text, want) {
			t.Errorf("topic info does not say %q:\n%s", want, text)
		}
	}
	f.awaitUsage(ctx, t, s.Topic, fmt.Sprintf("%d bytes in %d segments", h.Bytes, len(m.Segments)), func(topic storecheck.TopicUsage) bool {
		return topic.SegmentBytes == h.Bytes && topic.Segments == int64(len(m.Segments))
	})
	return h.Start
}

// awaitUsage returns when store usage says something of a topic, and nothing else waits for its deletion.
func (f *fixture) awaitUsage(ctx context.Context, t *testing.T, name, want string, satisfied func(storecheck.TopicUsage) bool) {
	t.Helper()
	err := deployment.Eventually(ctx, func(ctx context.Context) error {
		_, usage := f.storeUsage(ctx, t, 0)
		for _, topic := range usage.Topics {
			if topic.Topic == name && satisfied(topic) && usage.Waiting.Objects == topic.Waiting.Objects {
				return nil
			}
		}
		return fmt.Errorf("the usage is %+v, want %s", usage, want)
	})
	if err != nil {
		t.Error(err)
	}
}
