package supervisor_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"laneway.dev/internal/actor"
	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/supervisor"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// recorder is an actor that tells what happens to it.
type recorder struct {
	actor.Routine
	id       protocol.Partition
	received chan messages.Message
	ended    chan protocol.Partition
	topic    atomic.Pointer[protocol.Topic] // of the last Configure
}

func (r *recorder) Receive(_ context.Context, m messages.Message) { r.received <- m }

func (r *recorder) Configure(_ context.Context, topic protocol.Topic) { r.topic.Store(&topic) }

func (r *recorder) Start() {
	r.Go(func(ctx context.Context) {
		<-ctx.Done()
		r.ended <- r.id
	})
}

func TestActorsFollowTheTopics(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, js := embeddedtest.Start(t)
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	// So many partitions are in all of the logs, so that no later topic needs another journal.
	first, err := registry.Create(ctx, protocol.TopicConfig{Name: "first", Partitions: 64})
	if err != nil {
		t.Fatal(err)
	}
	// The first deletion of all makes a bucket, whose stream has goroutines of the server.
	if _, err := registry.Create(ctx, protocol.TopicConfig{Name: "gone"}); err != nil {
		t.Fatal(err)
	}
	if err := registry.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	ended := make(chan protocol.Partition, 2*first.Partitions)
	var built atomic.Int32
	set, err := supervisor.Start(ctx, registry, zaptest.NewLogger(t), func(_ protocol.Topic, p protocol.Partition) *recorder {
		built.Add(1)
		return &recorder{id: p, received: make(chan messages.Message, 1), ended: ended}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(set.Actors()); got != first.Partitions {
		t.Fatalf("%d actors when the set starts, want %d", got, first.Partitions)
	}

	second, err := registry.Create(ctx, protocol.TopicConfig{Name: "second"})
	if err != nil {
		t.Fatal(err)
	}
	actor, err := set.Await(ctx, second.Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	set.Deliver(messages.Hello{Partition: second.Partition(0), Term: 3})
	if m, ok := (<-actor.received).(messages.Hello); !ok || m.Term != 3 {
		t.Fatalf("received %+v, want the hello", m)
	}
	stranger := second.Partition(0)
	stranger.TopicID++
	set.Deliver(messages.Hello{Partition: stranger})

	if err := registry.Delete(ctx, "second"); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got != second.Partition(0) {
		t.Fatalf("%v ended, want the deleted partition", got)
	}
	set.Stop()
	if int(built.Load()) != first.Partitions+1 || len(ended) != first.Partitions {
		t.Fatalf("built %d actors, %d ended with the set; want %d and %d", built.Load(), len(ended), first.Partitions+1, first.Partitions)
	}
	goleak.VerifyNone(t, before)
}

func TestActorsOfAnUpdatedTopicAreConfiguredAndNotRestarted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, js := embeddedtest.Start(t)
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	topic, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders", Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	var built atomic.Int32
	set, err := supervisor.Start(ctx, registry, zaptest.NewLogger(t), func(_ protocol.Topic, p protocol.Partition) *recorder {
		built.Add(1)
		return &recorder{id: p, ended: make(chan protocol.Partition, 1)}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Stop()
	bytes := 1000
	if _, topic, err = registry.Update(ctx, protocol.TopicUpdate{Name: "orders", MaxRecordBytes: &bytes}); err != nil {
		t.Fatal(err)
	}
	for n := range topic.Partitions {
		actor, err := set.Await(ctx, topic.Partition(n), topic.Revision)
		if err != nil {
			t.Fatal(err)
		}
		if got := actor.topic.Load(); got == nil || got.MaxRecordBytes != bytes {
			t.Errorf("partition %d has %+v after the update", n, got)
		}
	}
	// A continued log restarts its partition with the updated topic, and the other one goes on.
	if err := registry.Continue(ctx, topic.Partition(0), 1); err != nil {
		t.Fatal(err)
	}
	continued := topic.Partition(0)
	continued.Incarnation = 1
	if _, err := set.Await(ctx, continued, topic.Revision); err != nil {
		t.Fatal(err)
	}
	if built.Load() != 3 {
		t.Errorf("%d actors were built, want 3", built.Load())
	}
	ended, stop := context.WithCancel(ctx)
	stop()
	if _, err := set.Await(ended, topic.Partition(1), topic.Revision+1); err == nil {
		t.Error("a revision that does not exist is in force")
	}
}

func TestARegistryThatCannotBeWatchedIsToldOfUntilItCan(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	conn, js := embeddedtest.Start(t)
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	set, err := supervisor.Start(ctx, registry, zaptest.NewLogger(t), func(_ protocol.Topic, p protocol.Partition) *recorder {
		return &recorder{id: p, received: make(chan messages.Message, 1), ended: make(chan protocol.Partition, 1)}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Stop()
	if err := set.Err(); err != nil {
		t.Fatal(err)
	}
	await := func(what string, reached func() bool) {
		t.Helper()
		pace := time.NewTicker(50 * time.Millisecond)
		defer pace.Stop()
		for !reached() {
			select {
			case <-pace.C:
			case <-ctx.Done():
				t.Fatalf("%s: %v", what, set.Err())
			}
		}
	}
	if err := js.DeleteStream(ctx, "KV_LANEWAY_TOPICS"); err != nil {
		t.Fatal(err)
	}
	await("the bucket is lost", func() bool { return set.Err() != nil })
	if _, err := topics.Open(ctx, conn, js); err != nil {
		t.Fatal(err)
	}
	await("the bucket is there again", func() bool { return set.Err() == nil })
}

func TestCheckTellsOfEachActorThatIsNotReady(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, js := embeddedtest.Start(t)
	registry, err := topics.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	const partitions = 20
	topic, err := registry.Create(ctx, protocol.TopicConfig{Name: "orders", Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	set, err := supervisor.Start(ctx, registry, zaptest.NewLogger(t), func(_ protocol.Topic, p protocol.Partition) *recorder {
		return &recorder{id: p, ended: make(chan protocol.Partition, partitions)}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Stop()
	if err := set.Check(func(*recorder) error { return nil }); err != nil {
		t.Errorf("error %v, although all actors are ready", err)
	}
	told := make(map[string]bool)
	notReady := func(r *recorder) error {
		if r.id == topic.Partition(7) || r.id == topic.Partition(8) {
			return errors.New(r.id.String())
		}
		return nil
	}
	for range 1000 { // the order is random
		if err := set.Check(notReady); err != nil {
			told[err.Error()] = true
		}
	}
	if len(told) != 2 {
		t.Errorf("of two actors that are not ready, Check told of %v", told)
	}
}
