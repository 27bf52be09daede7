package topics_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func open(t *testing.T) (context.Context, *topics.Registry, func(protocol.Partition) *partitionlog.Log) {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, registry, func(p protocol.Partition) *partitionlog.Log { return partitionlog.New(conn, js, p) }
}

func create(ctx context.Context, t *testing.T, r *topics.Registry, name string, partitions int) protocol.Topic {
	t.Helper()
	topic, err := r.Create(ctx, protocol.TopicConfig{Name: name, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func wantCode(t *testing.T, err error, code protocol.Code) {
	t.Helper()
	if !errors.Is(err, protocol.NewError(code, "")) {
		t.Fatalf("error %v, want %s", err, code.Kind().Name)
	}
}

func TestACreatedTopicHasALogPerPartition(t *testing.T) {
	ctx, registry, log := open(t)
	topic := create(ctx, t, registry, "orders", 3)
	for n := range 3 {
		state, err := log(topic.Partition(n)).State(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if state.LastSequence != 1 || state.NextOffset != 0 {
			t.Fatalf("partition %d starts at %+v, want one entry without records", n, state)
		}
	}
	got, err := registry.Get(ctx, "orders")
	if err != nil || got.ID != topic.ID || got.MaxRecordBytes != protocol.DefaultMaxRecordBytes {
		t.Fatalf("topic %+v, error %v", got, err)
	}
}

func TestATopicIsCreatedOnce(t *testing.T) {
	ctx, registry, _ := open(t)
	create(ctx, t, registry, "orders", 1)
	_, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders"})
	wantCode(t, err, protocol.CodeTopicExists)
}

func TestBadNamesAndUnknownTopicsAreTold(t *testing.T) {
	ctx, registry, _ := open(t)
	for _, name := range []string{"", "a.b", "a b", "*", ">", "ä"} {
		_, err := registry.Create(ctx, protocol.TopicConfig{Name: name})
		wantCode(t, err, protocol.CodeInvalidTopicName)
	}
	_, err := registry.Get(ctx, "nothing")
	wantCode(t, err, protocol.CodeUnknownTopic)
	wantCode(t, registry.Delete(ctx, "nothing"), protocol.CodeUnknownTopic)
}

func TestARecreatedTopicStartsAnew(t *testing.T) {
	ctx, registry, log := open(t)
	first := create(ctx, t, registry, "orders", 1)
	data := messages.EncodeEntry(messages.Entry{TopicID: first.ID, Owner: "me"})
	if _, err := log(first.Partition(0)).Append(ctx, 1, data); err != nil {
		t.Fatal(err)
	}
	if err := registry.Delete(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	second := create(ctx, t, registry, "orders", 1)
	state, err := log(second.Partition(0)).State(ctx)
	if err != nil || state.LastSequence != 1 || first.ID == second.ID {
		t.Fatalf("state %+v, error %v, ids %d and %d; want an empty log and another id", state, err, first.ID, second.ID)
	}
}

func TestTopicsAreListedByName(t *testing.T) {
	ctx, registry, _ := open(t)
	for _, name := range []string{"b", "c", "a"} {
		create(ctx, t, registry, name, 1)
	}
	all, err := registry.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, topic := range all {
		names = append(names, topic.Name)
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Fatalf("topics %v", names)
	}
}

func TestAWatcherSeesWhatIsThereAndWhatChanges(t *testing.T) {
	ctx, registry, _ := open(t)
	create(ctx, t, registry, "before", 1)
	watching, stop := context.WithCancel(ctx)
	changes, ready := make(chan topics.Change, 10), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- registry.Watch(watching, func(c topics.Change, err error) {
			if err != nil {
				t.Error(err)
			}
			changes <- c
		}, func() { close(ready) })
	}()
	<-ready
	if c := <-changes; c.Topic.Name != "before" || c.Deleted {
		t.Fatalf("first change %+v, want the topic that was there", c)
	}
	create(ctx, t, registry, "after", 1)
	if c := <-changes; c.Topic.Name != "after" || c.Deleted {
		t.Fatalf("change %+v, want the new topic", c)
	}
	if err := registry.Delete(ctx, "before"); err != nil {
		t.Fatal(err)
	}
	if c := <-changes; c.Topic.Name != "before" || !c.Deleted {
		t.Fatalf("change %+v, want the deletion", c)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// A bucket that was restored from a copy gives revisions out again.
func TestListFollowsBucketThatWasReplaced(t *testing.T) {
	ctx, registry, js := damaged(t)
	create(ctx, t, registry, "orders", 1)
	kv, err := js.KeyValue(ctx, "LANEWAY_TOPICS")
	if err != nil {
		t.Fatal(err)
	}
	before, err := kv.Get(ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := registry.List(ctx); err != nil || len(all) != 1 || all[0].Partitions != 1 {
		t.Fatalf("the topics are %+v, %v", all, err)
	}
	if err := js.DeleteKeyValue(ctx, "LANEWAY_TOPICS"); err != nil {
		t.Fatal(err)
	}
	if _, err := topics.Open(ctx, js.Conn(), js); err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(before.Value(), []byte(`"partitions":1`), []byte(`"partitions":2`), 1)
	for revision := uint64(0); revision < before.Revision(); {
		if revision, err = kv.Put(ctx, "orders", other); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := registry.List(ctx); err != nil || len(all) != 1 || all[0].Partitions != 2 {
		t.Errorf("after that they are %+v, %v", all, err)
	}
}
