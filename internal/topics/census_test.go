package topics_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// census returns a census as a text: the logs, the topics that have a tombstone, and those that are
// being deleted.
func census(ctx context.Context, t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	c, err := topics.TakeCensus(ctx, js.Conn(), js)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, p := range c.Logs {
		words = append(words, fmt.Sprintf("%s.%d", p, p.Incarnation))
	}
	for _, p := range c.Continuing {
		words = append(words, fmt.Sprintf(">%d", p.Incarnation))
	}
	for _, b := range c.Tombstones {
		words = append(words, fmt.Sprintf("+%s:%d", b.Name, b.Seen))
	}
	for range c.Deleting {
		words = append(words, "deleting")
	}
	return strings.Join(words, " ")
}

func wantCensus(ctx context.Context, t *testing.T, js jetstream.JetStream, want string) {
	t.Helper()
	if got := census(ctx, t, js); got != want {
		t.Errorf("the census is %q, want %q", got, want)
	}
}

func TestCensusWithoutRegistryHasNoLogs(t *testing.T) {
	_, js := embeddedtest.Start(t)
	wantCensus(t.Context(), t, js, "")
}

func TestDeletedTopicHasATombstoneUntilItIsForgotten(t *testing.T) {
	ctx, registry, js := damaged(t)
	topic := create(ctx, t, registry, "orders", 2)
	wantCensus(ctx, t, js, "orders/0.0 orders/1.0")
	if err := registry.Delete(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	wantCensus(ctx, t, js, "+orders:0")
	for _, generation := range []uint64{9, 12} { // another sweep sees it as well
		if err := topics.NoteSeen(ctx, js.Conn(), js, []uint64{topic.ID, 4}, generation); err != nil {
			t.Fatal(err)
		}
		wantCensus(ctx, t, js, "+orders:9")
	}
	create(ctx, t, registry, "orders", 1)
	wantCensus(ctx, t, js, "orders/0.0 +orders:9")
	for range 2 {
		if err := topics.Forget(ctx, js, []uint64{topic.ID}); err != nil {
			t.Fatal(err)
		}
		wantCensus(ctx, t, js, "orders/0.0")
	}
	stream, err := js.Stream(ctx, "KV_LANEWAY_DELETED")
	if err != nil {
		t.Fatal(err)
	}
	if left := stream.CachedInfo().State.Msgs; left != 0 {
		t.Errorf("%d messages are left of tombstones that are forgotten", left)
	}
}

func TestAnInterruptedDeletionIsNoLogAndNoTombstone(t *testing.T) {
	ctx, registry, js := damaged(t)
	mark(ctx, t, js, create(ctx, t, registry, "orders", 1))
	wantCensus(ctx, t, js, "deleting")
	if err := registry.Delete(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	wantCensus(ctx, t, js, "+orders:0")
}

func TestLogsWhoseTopicWasLostCount(t *testing.T) {
	ctx, registry, js := damaged(t)
	create(ctx, t, registry, "orders", 1)
	create(ctx, t, registry, "events", 1)
	lose(ctx, t, js, "orders")
	wantCensus(ctx, t, js, "events/0.0 orders/0.0")
	if err := js.DeleteStream(ctx, "KV_"+registryBucket); err != nil {
		t.Fatal(err)
	}
	if got := census(ctx, t, js); !strings.Contains(got, "orders/0.0") || !strings.Contains(got, "events/0.0") {
		t.Errorf("the census is %q", got)
	}
}

func TestLogsOfTheRegistryCountWithoutStream(t *testing.T) {
	ctx, registry, js := damaged(t)
	topic := create(ctx, t, registry, "orders", 1)
	logtest.Of(t, js.Conn(), topic.Partition(0)).LoseLog()
	wantCensus(ctx, t, js, "orders/0.0")
}

func TestLogsThatAreContinuedDoNotCount(t *testing.T) {
	ctx, registry, js := damaged(t)
	topic := create(ctx, t, registry, "orders", 1)
	next := topic.Partition(0)
	next.Incarnation = 3
	logtest.Of(t, js.Conn(), next).Append(0, messages.EncodeEntry(messages.Entry{TopicID: topic.ID, Created: true}))
	wantCensus(ctx, t, js, "orders/0.0 orders/0.3 >3") // a repair is under way
	if err := registry.Continue(ctx, topic.Partition(0), 3); err != nil {
		t.Fatal(err)
	}
	wantCensus(ctx, t, js, "orders/0.3")
}

func TestCensusFailsIfARecordCannotBeRead(t *testing.T) {
	ctx, registry, js := damaged(t)
	create(ctx, t, registry, "orders", 1)
	kv, err := js.KeyValue(ctx, registryBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(ctx, "orders", []byte("{")); err != nil {
		t.Fatal(err)
	}
	_, err = topics.TakeCensus(ctx, js.Conn(), js)
	wantCode(t, err, protocol.CodeCorrupt)
}
