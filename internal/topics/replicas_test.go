package topics_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/kvbucket"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/snapshots"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestInAClusterThreeServersKeepEverything(t *testing.T) {
	conn, js := embeddedtest.Cluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ownership.Hold(ctx, js, "frontend"); err != nil {
		t.Fatal(err)
	}
	topic := create(ctx, t, registry, "orders", 1)
	single, err := registry.Create(ctx, protocol.TopicConfig{Name: "single", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	wantReplicas(ctx, t, js, 3, logtest.Of(t, conn, topic.Partition(0)).Stream(), messages.MarksStream(single.Partition(0).Log))
	wantReplicas(ctx, t, js, 1, logtest.Of(t, conn, single.Partition(0)).Stream())
	create(ctx, t, registry, "notes", 1)
	// Any of the servers may answer a read, also one that has not got the entry yet.
	log := partitionlog.New(conn, js, topic.Partition(0))
	for sequence := range uint64(200) {
		entry := messages.Entry{TopicID: topic.ID, BaseOffset: int64(sequence), Batches: []messages.Placeholder{{Batch: messages.Batch{Records: 1}}}}
		if _, err := log.Append(ctx, sequence+1, messages.EncodeEntry(entry)); err != nil {
			t.Fatal(err)
		}
		state, err := log.State(ctx)
		if err != nil || state.NextOffset != int64(sequence)+1 {
			t.Fatalf("state %+v after entry %d, error %v", state, sequence+1, err)
		}
	}
	// The bucket is asked right after it was written, too.
	for range 50 {
		if err := registry.Delete(ctx, "notes"); err != nil {
			t.Fatal(err)
		}
		_, err := registry.Get(ctx, "notes")
		wantCode(t, err, protocol.CodeUnknownTopic)
		create(ctx, t, registry, "notes", 1)
		_, err = registry.Create(ctx, protocol.TopicConfig{Name: "notes"})
		wantCode(t, err, protocol.CodeTopicExists)
	}
}

// wantReplicas checks how many replicas streams have, and those that are created first.
func wantReplicas(ctx context.Context, t *testing.T, js jetstream.JetStream, want int, streams ...string) {
	t.Helper()
	for _, name := range streams {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		info := stream.CachedInfo()
		if info.Config.Replicas != want || len(info.Cluster.Replicas) != want-1 {
			t.Errorf("%s has %d replicas, on %d servers beside the leader; want %d", name, info.Config.Replicas, len(info.Cluster.Replicas), want)
		}
	}
}

func TestEverythingHasTheReplicasOfTheCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for wanted, want := range map[int]int{0: 3, 1: 1} {
		conn, js := embeddedtest.Cluster(t)
		if _, err := kvbucket.DecideReplicas(ctx, js, wanted, nil); err != nil {
			t.Fatal(err)
		}
		registry, err := topics.Open(ctx, conn, js)
		if err != nil {
			t.Fatal(err)
		}
		topic := create(ctx, t, registry, "orders", 1)
		if _, err := ownership.Hold(ctx, js, "frontend"); err != nil {
			t.Fatal(err)
		}
		if _, err := snapshots.Open(ctx, conn, js); err != nil {
			t.Fatal(err)
		}
		log := topic.Partition(0).Log
		wantReplicas(ctx, t, js, want, "KV_LANEWAY_CLUSTER", "KV_LANEWAY_TOPICS", "KV_LANEWAY_EPOCHS", "LANEWAY_SNAPSHOTS",
			messages.JournalStream(log), messages.MarksStream(log))
		if topic.Replicas != want {
			t.Errorf("the topic has %d replicas, want %d", topic.Replicas, want)
		}
	}
}

func TestTopicsAreCreatedInStreamsWhoseReplicasWereChanged(t *testing.T) {
	conn, js := embeddedtest.Cluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.DecideLogs(ctx, 1); err != nil {
		t.Fatal(err)
	}
	log := create(ctx, t, registry, "orders", 1).Partition(0).Log
	for _, name := range []string{messages.JournalStream(log), messages.MarksStream(log)} {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		config := stream.CachedInfo().Config
		config.Replicas = 1
		if _, err := js.UpdateStream(ctx, config); err != nil {
			t.Fatal(err)
		}
	}
	if got := create(ctx, t, registry, "notes", 1).Partition(0).Log; got != log {
		t.Errorf("the topic is in log %d, want %d", got, log)
	}
}

func TestReplicasNeedAsManyServers(t *testing.T) {
	ctx, registry, _ := open(t)
	_, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders", Replicas: 3})
	wantCode(t, err, protocol.CodeInvalidRequest)
	_, err = registry.Get(ctx, "orders")
	wantCode(t, err, protocol.CodeUnknownTopic)
}

func TestALogGoesOnWithAnotherLeader(t *testing.T) {
	conn, js := embeddedtest.Cluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	topic, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders", Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	log := partitionlog.New(conn, js, topic.Partition(0))
	within := func(do func(context.Context) error) error {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return do(attempt)
	}
	const all = 20
	for end := uint64(0); end < all; {
		entry := messages.Entry{TopicID: topic.ID, BaseOffset: int64(end), Batches: []messages.Placeholder{{Batch: messages.Batch{Records: 1}}}}
		// Without an answer it may be there or not: the log tells.
		_ = within(func(ctx context.Context) error {
			_, err := log.Append(ctx, end+1, messages.EncodeEntry(entry))
			return err
		})
		var state partitionlog.State
		err := within(func(ctx context.Context) (err error) {
			state, err = log.State(ctx)
			return err
		})
		switch {
		case ctx.Err() != nil:
			t.Fatalf("after %d entries: %v", end, err)
		case err != nil:
			continue // there is no leader at the moment
		case state.LastSequence < end+1 || state.LastSequence > end+2 || state.NextOffset != int64(state.LastSequence)-1:
			t.Fatalf("state %+v after %d entries", state, end)
		}
		landed := state.LastSequence > end+1
		if end = state.LastSequence - 1; landed && end%5 == 0 {
			if _, err := conn.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+logtest.Of(t, conn, topic.Partition(0)).Stream(), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	var read uint64
	for read < all && ctx.Err() == nil {
		// A replica that lags shows fewer, but never others.
		_ = within(func(ctx context.Context) error {
			entries, _, err := log.Read(ctx, read+2, all)
			for _, e := range entries {
				if read++; e.Sequence != read+1 || e.Entry.BaseOffset != int64(read)-1 {
					t.Fatalf("entry %d: %+v", read, e)
				}
			}
			return err
		})
	}
	if read != all {
		t.Errorf("%d entries were read", read)
	}
}
