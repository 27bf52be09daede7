package topics_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const registryBucket = "LANEWAY_TOPICS"

// damaged returns a registry whose bucket a test can damage.
func damaged(t *testing.T) (context.Context, *topics.Registry, jetstream.JetStream) {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	ctx := t.Context()
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, registry, js
}

// lose removes the record of a topic as damage does, without a trace.
func lose(ctx context.Context, t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	stream, err := js.Stream(ctx, "KV_"+registryBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+registryBucket+"."+name)); err != nil {
		t.Fatal(err)
	}
}

func streams(ctx context.Context, t *testing.T, js jetstream.JetStream, topic string) int {
	t.Helper()
	logs, err := partitionlog.List(ctx, js.Conn(), js, partitionlog.Which{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range logs {
		if l.Partition.Topic == topic {
			n++
		}
	}
	return n
}

// lagging lists no streams, as the leader of a cluster does that has not heard of them yet.
type lagging struct{ jetstream.JetStream }

func (l lagging) ListStreams(ctx context.Context, _ ...jetstream.StreamListOpt) jetstream.StreamInfoLister {
	return l.JetStream.ListStreams(ctx, jetstream.WithStreamListSubject("none"))
}

// paused lets something happen before the first log is created.
type paused struct {
	jetstream.JetStream
	once   *sync.Once
	before func()
}

func (p paused) CreateStream(ctx context.Context, config jetstream.StreamConfig) (jetstream.Stream, error) {
	if strings.HasPrefix(config.Name, messages.JournalStreamPrefix) {
		p.once.Do(p.before)
	}
	return p.JetStream.CreateStream(ctx, config)
}

func TestTopicThatIsDeletedWhileItIsCreatedLeavesNothing(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx := t.Context()
	other, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := topics.Open(ctx, conn, paused{js, new(sync.Once), func() {
		if err := other.Delete(ctx, "orders"); err != nil {
			t.Error(err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	config := protocol.TopicConfig{Name: "orders", Partitions: 3}
	_, err = registry.Create(ctx, config)
	if known, ok := errors.AsType[*protocol.Error](err); !ok || known.Code != protocol.CodeUnknownTopic {
		t.Errorf("the creation ends with %v, want UNKNOWN_TOPIC", err)
	}
	if n := streams(ctx, t, js, "orders"); n != 0 {
		t.Errorf("%d logs are left", n)
	}
	if _, err := registry.Create(ctx, config); err != nil {
		t.Errorf("the name cannot be used again: %v", err)
	}
}

func TestDeletionRemovesLogsThatAreNotListedYet(t *testing.T) {
	conn, js := embeddedtest.Start(t)
	ctx := t.Context()
	registry, err := topics.Open(ctx, conn, lagging{js})
	if err != nil {
		t.Fatal(err)
	}
	create(ctx, t, registry, "orders", 3)
	if n := streams(ctx, t, js, "orders"); n != 3 {
		t.Fatalf("there are %d logs", n)
	}
	if err := registry.Delete(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	if n := streams(ctx, t, js, "orders"); n != 0 {
		t.Errorf("%d logs are left", n)
	}
}

func TestLogsWhoseTopicWasLostAreNotReplaced(t *testing.T) {
	ctx, registry, js := damaged(t)
	lostTopic := create(ctx, t, registry, "orders", 3)
	lose(ctx, t, js, "orders")
	// Fewer partitions would leave the others, out of sight.
	for _, partitions := range []int{3, 1} {
		_, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders", Partitions: partitions})
		wantCode(t, err, protocol.CodeLogWithoutTopic)
		if !strings.Contains(err.Error(), messages.LogName(lostTopic.Partition(0))) {
			t.Errorf("the error names no stream: %v", err)
		}
	}
	if n := streams(ctx, t, js, "orders"); n != 3 {
		t.Errorf("%d logs are left, want 3", n)
	}
	if _, err := registry.Get(ctx, "orders"); err == nil {
		t.Error("a record was left by the creation that was refused")
	}
	// A topic whose name begins alike is another one.
	create(ctx, t, registry, "orders-0", 1)
}

func TestOperatorRemovesLostLogs(t *testing.T) {
	ctx, registry, js := damaged(t)
	topic := create(ctx, t, registry, "orders", 1)
	lose(ctx, t, js, "orders")
	logtest.Of(t, js.Conn(), topic.Partition(0)).LoseLog()
	create(ctx, t, registry, "orders", 1)
}

// mark leaves a topic as a deletion does that ended after its first step.
func mark(ctx context.Context, t *testing.T, js jetstream.JetStream, topic protocol.Topic) {
	t.Helper()
	kv, err := js.KeyValue(ctx, registryBucket)
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(struct {
		protocol.Topic
		Deleted bool `json:"deleted"`
	}{topic, true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(ctx, topic.Name, value); err != nil {
		t.Fatal(err)
	}
}

func TestInterruptedDeletionIsCompleted(t *testing.T) {
	for name, next := range map[string]func(context.Context, *topics.Registry) error{
		"create": func(ctx context.Context, r *topics.Registry) error {
			_, err := r.Create(ctx, protocol.TopicConfig{Name: "orders"})
			return err
		},
		"delete": func(ctx context.Context, r *topics.Registry) error { return r.Delete(ctx, "orders") },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, registry, js := damaged(t)
			mark(ctx, t, js, create(ctx, t, registry, "orders", 3))
			_, err := registry.Get(ctx, "orders")
			wantCode(t, err, protocol.CodeUnknownTopic)
			if all, err := registry.List(ctx); err != nil || len(all) != 0 {
				t.Errorf("topics %v (%v), want none", all, err)
			}
			if err := next(ctx, registry); err != nil {
				t.Fatal(err)
			}
			want := map[string]int{"create": 1}[name]
			if n := streams(ctx, t, js, "orders"); n != want {
				t.Errorf("%d logs are left, want %d", n, want)
			}
		})
	}
}

func TestMarkOfAnotherTopicOfTheNameDeletesNothing(t *testing.T) {
	ctx, registry, js := damaged(t)
	older := create(ctx, t, registry, "orders", 1)
	if err := registry.Delete(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	create(ctx, t, registry, "orders", 1)
	mark(ctx, t, js, older) // an old record that came back when a newer one was lost
	_, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders"})
	wantCode(t, err, protocol.CodeLogWithoutTopic)
	if n := streams(ctx, t, js, "orders"); n != 1 {
		t.Errorf("%d logs are left, want 1", n)
	}
}

func TestSurveyFindsLostTopicsAndRecreatedStreams(t *testing.T) {
	ctx, registry, js := damaged(t)
	create(ctx, t, registry, "kept", 2)
	mark(ctx, t, js, create(ctx, t, registry, "leaving", 1))
	if found, err := registry.Survey(ctx); err != nil || found.Err() != nil || len(found.Remade) > 0 {
		t.Fatalf("survey %+v (%v), want nothing wrong", found, err)
	}
	create(ctx, t, registry, "orders", 2)
	lose(ctx, t, js, "orders")
	found, err := registry.Survey(ctx)
	if err != nil || len(found.Lost) != 1 || len(found.Lost["orders"]) != 2 {
		t.Fatalf("survey %+v (%v), want the two logs of orders", found, err)
	}
	wantCode(t, found.ErrOf("orders"), protocol.CodeLogWithoutTopic)
	if err := found.ErrOf("kept"); err != nil {
		t.Error(err)
	}
	// The whole bucket is lost.
	if err := js.DeleteKeyValue(ctx, registryBucket); err != nil {
		t.Fatal(err)
	}
	if registry, err = topics.Open(ctx, js.Conn(), js); err != nil {
		t.Fatal(err)
	}
	found, err = registry.Survey(ctx)
	if err != nil || len(found.Lost) != 3 || len(found.Remade) != 1 {
		t.Errorf("survey %+v (%v), want the logs of three topics, and the bucket", found, err)
	}
}

// A deletion that was interrupted, or still runs, is not in the way of another topic.
func TestNameIsReusableBeforeLogsAreRemoved(t *testing.T) {
	ctx, registry, js := damaged(t)
	old := create(ctx, t, registry, "orders", 2)
	mark(ctx, t, js, old)
	record := func() (ids []uint64) {
		t.Helper()
		kv, err := js.KeyValue(ctx, registryBucket)
		if err != nil {
			t.Fatal(err)
		}
		entry, err := kv.Get(ctx, "orders")
		if err != nil {
			t.Fatal(err)
		}
		var found struct {
			Former []uint64 `json:"former"`
		}
		if err := json.Unmarshal(entry.Value(), &found); err != nil {
			t.Fatal(err)
		}
		return found.Former
	}
	// An old log that cannot be removed stays with the record.
	kv, err := js.KeyValue(ctx, registryBucket)
	if err != nil {
		t.Fatal(err)
	}
	again := old
	again.ID++
	value, err := json.Marshal(struct {
		protocol.Topic
		Former []uint64 `json:"former"`
	}{again, []uint64{old.ID}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(ctx, "orders", value); err != nil {
		t.Fatal(err)
	}
	if err := partitionlog.New(js.Conn(), js, again.Partition(0)).Create(ctx, 1, 0); err != nil {
		t.Fatalf("the logs of the deleted topic are in the way: %v", err)
	}
	if found, err := registry.Survey(ctx); err != nil || found.Err() != nil {
		t.Errorf("the logs of the deleted topic count as lost: %v, %v", found.Err(), err)
	}
	if ids := record(); len(ids) != 1 || ids[0] != old.ID {
		t.Errorf("the record knows the deleted topics %v", ids)
	}
	if err := registry.Delete(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	if n := streams(ctx, t, js, "orders"); n != 0 {
		t.Errorf("%d logs are left", n)
	}
	if _, err := kv.Get(ctx, "orders"); err == nil {
		t.Error("the record is left")
	}
}

func TestCreationEndsTheDeletionBefore(t *testing.T) {
	ctx, registry, js := damaged(t)
	old := create(ctx, t, registry, "orders", 2)
	mark(ctx, t, js, old)
	topic := create(ctx, t, registry, "orders", 1)
	if found, err := registry.Get(ctx, "orders"); err != nil || found.ID != topic.ID || topic.ID == old.ID {
		t.Errorf("the topic is %+v, %v", found, err)
	}
	if n := streams(ctx, t, js, "orders"); n != 1 {
		t.Errorf("%d logs are left, want 1", n)
	}
	if found, err := registry.Survey(ctx); err != nil || found.Err() != nil {
		t.Errorf("the survey says %v, %v", found.Err(), err)
	}
}
