package producerregistry_test

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/producerregistry"
	"laneway.dev/pkg/protocol"
)

func open(t *testing.T) (context.Context, *producerregistry.Registry, jetstream.KeyValue) {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	registry, err := producerregistry.Open(ctx, conn, js)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, "LANEWAY_PRODUCERS")
	if err != nil {
		t.Fatal(err)
	}
	return ctx, registry, kv
}

func next(ctx context.Context, t *testing.T, r *producerregistry.Registry, name string, topics ...uint64) producerregistry.Identity {
	t.Helper()
	identity, err := r.Next(ctx, name, "")
	if err == nil {
		err = r.Remember(ctx, identity, topics)
	}
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func TestANameKeepsItsIDAndGetsTheNextEpoch(t *testing.T) {
	ctx, registry, _ := open(t)
	const name = "feeds/größe *.>"
	first, second, other := next(ctx, t, registry, name), next(ctx, t, registry, name), next(ctx, t, registry, "other")
	if first.ProducerID <= 0 || first.ProducerEpoch != 0 || first.Name != name {
		t.Fatalf("first instance %+v", first)
	}
	if second.ProducerID != first.ProducerID || second.ProducerEpoch != 1 {
		t.Fatalf("second instance %+v after %+v", second, first)
	}
	if other.ProducerID == first.ProducerID || other.ProducerEpoch != 0 {
		t.Fatalf("another name %+v", other)
	}
	if id, err := registry.Find(ctx, name); err != nil || id != first.ProducerID {
		t.Fatalf("found %d, %v", id, err)
	}
}

func TestInstancesThatAskAtOnceGetDifferentEpochs(t *testing.T) {
	ctx, registry, _ := open(t)
	const instances = 20
	epochs := make([]int, instances)
	var wait sync.WaitGroup
	for i := range instances {
		wait.Go(func() {
			if identity, err := registry.Next(ctx, "feed", ""); err != nil {
				t.Error(err)
			} else {
				epochs[i] = int(identity.ProducerEpoch)
			}
		})
	}
	wait.Wait()
	slices.Sort(epochs)
	for i, epoch := range epochs {
		if epoch != i {
			t.Fatalf("epochs %v", epochs)
		}
	}
}

func TestInstanceKeepsEpochUntilNextOne(t *testing.T) {
	ctx, registry, _ := open(t)
	ask := func(instance string) (int16, error) {
		identity, err := registry.Next(ctx, "feed", instance)
		return identity.ProducerEpoch, err
	}
	for _, c := range []struct {
		instance string
		epoch    int16
	}{{"a", 0}, {"a", 0}, {"b", 1}, {"b", 1}, {"", 2}, {"", 3}, {"c", 4}, {"c", 4}} {
		if epoch, err := ask(c.instance); err != nil || epoch != c.epoch {
			t.Errorf("instance %q gets epoch %d, %v; want %d", c.instance, epoch, err, c.epoch)
		}
	}
	for _, late := range []string{"a", "b"} {
		if _, err := ask(late); protocol.AsError(err).Code != protocol.CodeInvalidEpoch {
			t.Errorf("instance %q, which was overtaken: %v", late, err)
		}
	}
	if epoch, err := ask("c"); err != nil || epoch != 4 {
		t.Errorf("the youngest gets epoch %d, %v", epoch, err)
	}
}

func TestTopicsOfEarlierInstancesAreRemembered(t *testing.T) {
	ctx, registry, _ := open(t)
	next(ctx, t, registry, "feed", 1, 2)
	if second := next(ctx, t, registry, "feed", 2, 3); !slices.Equal(second.Seen, []uint64{1, 2}) {
		t.Fatalf("seen %v", second.Seen)
	}
	if third := next(ctx, t, registry, "feed"); !slices.Equal(third.Seen, []uint64{1, 2, 3}) {
		t.Fatalf("seen %v", third.Seen)
	}
}

func TestANameWhoseEpochsAreUsedUpGetsAnotherID(t *testing.T) {
	ctx, registry, kv := open(t)
	first := next(ctx, t, registry, "feed")
	keys, err := kv.Keys(ctx)
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v", keys, err)
	}
	data, err := json.Marshal(map[string]any{
		"name": "feed", "id": strconv.FormatInt(first.ProducerID, 10), "epoch": math.MaxInt16 - 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(ctx, keys[0], data); err != nil {
		t.Fatal(err)
	}
	last, fresh, later := next(ctx, t, registry, "feed"), next(ctx, t, registry, "feed"), next(ctx, t, registry, "feed")
	if last.ProducerID != first.ProducerID || last.ProducerEpoch != math.MaxInt16-1 {
		t.Fatalf("the last instance of the id is %+v", last)
	}
	if fresh.ProducerID == first.ProducerID || fresh.ProducerEpoch != 0 {
		t.Fatalf("the first instance of the next id is %+v", fresh)
	}
	if later.ProducerID != fresh.ProducerID || later.ProducerEpoch != 1 {
		t.Fatalf("the second instance of the next id is %+v", later)
	}
}

func TestANameThatNobodyHasIsNotFound(t *testing.T) {
	ctx, registry, _ := open(t)
	_, err := registry.Find(ctx, "nobody")
	if protocol.AsError(err).Code != protocol.CodeUnknownName || !strings.Contains(err.Error(), `"nobody"`) {
		t.Fatalf("error %v", err)
	}
}

func TestADamagedRecordIsTold(t *testing.T) {
	ctx, registry, kv := open(t)
	next(ctx, t, registry, "feed")
	keys, err := kv.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []string{"{", "{}", `{"name":"other","id":"1"}`, `{"name":"feed","id":"-1"}`, `{"name":"feed","id":"1","epoch":-1}`} {
		if _, err := kv.Put(ctx, keys[0], []byte(damaged)); err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Next(ctx, "feed", ""); protocol.AsError(err).Code != protocol.CodeCorrupt {
			t.Errorf("%s: error %v, want CORRUPT", damaged, err)
		}
	}
}

func TestIDsAreAboveZeroAndNeverTheSame(t *testing.T) {
	seen := make(map[int64]bool)
	for range 100_000 {
		id := producerregistry.New()
		if id <= 0 || seen[id] {
			t.Fatalf("id %d", id)
		}
		seen[id] = true
	}
}

func TestAnInstanceSurpassesAnEpochThatNoInitGave(t *testing.T) {
	ctx, registry, _ := open(t)
	next(ctx, t, registry, "feed")
	mine, err := registry.Next(ctx, "feed", "me")
	if err != nil {
		t.Fatal(err)
	}
	above, err := registry.Surpass(ctx, mine, 100)
	if err != nil || above.ProducerID != mine.ProducerID || above.ProducerEpoch != 101 {
		t.Fatalf("above 100 is %+v, %v", above, err)
	}
	if again, err := registry.Next(ctx, "feed", "me"); err != nil || again.ProducerEpoch != 101 {
		t.Errorf("the same instance asks again and gets %+v, %v", again, err)
	}
	fresh, err := registry.Surpass(ctx, above, protocol.MaxProducerEpoch)
	if err != nil || fresh.ProducerID == mine.ProducerID || fresh.ProducerEpoch != 0 {
		t.Fatalf("above the last epoch is %+v, %v", fresh, err)
	}
	next(ctx, t, registry, "feed")
	if _, err := registry.Surpass(ctx, fresh, 7); protocol.AsError(err).Code != protocol.CodeInvalidEpoch {
		t.Errorf("an instance that was replaced: %v, want INVALID_PRODUCER_EPOCH", err)
	}
}
