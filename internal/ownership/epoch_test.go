package ownership_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/ownership"
)

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

const bucket = "LANEWAY_EPOCHS"

func hold(ctx context.Context, t *testing.T, js jetstream.JetStream) *ownership.Holder {
	t.Helper()
	h, err := ownership.Hold(ctx, js, "frontend")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// get returns what the key of the role says.
func get(ctx context.Context, t *testing.T, js jetstream.JetStream) (number, instance string) {
	t.Helper()
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(ctx, "frontend")
	if err != nil {
		t.Fatal(err)
	}
	number, instance, _ = strings.Cut(string(entry.Value()), " ")
	return number, instance
}

func put(ctx context.Context, t *testing.T, js jetstream.JetStream, value string) {
	t.Helper()
	kv, err := js.KeyValue(ctx, bucket)
	if err == nil {
		_, err = kv.PutString(ctx, "frontend", value)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryStartGetsAHigherEpoch(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	last := uint64(0)
	for range 5 {
		got := hold(ctx, t, js).Epoch()
		if got <= last {
			t.Fatalf("epoch %d after %d", got, last)
		}
		last = got
	}
}

func TestStartsAtTheSameTimeGetDifferentEpochs(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	const starts = 8
	got := make([]uint64, starts)
	var wait sync.WaitGroup
	for i := range starts {
		wait.Go(func() {
			h, err := ownership.Hold(ctx, js, "frontend")
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = h.Epoch()
		})
	}
	wait.Wait()
	seen := map[uint64]bool{}
	for _, e := range got {
		if seen[e] {
			t.Fatalf("epochs %v are not all different", got)
		}
		seen[e] = true
	}
}

func TestRaisedEpochIsAboveWhatItsOwnerWasTold(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	h := hold(ctx, t, js)
	told := h.Epoch() + 1000
	got, err := h.Raise(ctx, told)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.Raise(ctx, told); err != nil || again != got {
		t.Fatalf("epoch %d (%v) for the second one that is told, want %d", again, err, got)
	}
	if next := hold(ctx, t, js).Epoch(); got <= told || got != h.Epoch() || next <= got {
		t.Fatalf("epochs %d and then %d, want both to rise above %d", got, next, told)
	}
}

func TestOwnerThatWasFollowedIsReplaced(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	old := hold(ctx, t, js)
	if err := old.Check(ctx); err != nil {
		t.Fatalf("the only one: %v", err)
	}
	young := hold(ctx, t, js)
	if err := young.Check(ctx); err != nil {
		t.Fatalf("the youngest: %v", err)
	}
	if err := old.Check(ctx); !errors.Is(err, ownership.ErrReplaced) {
		t.Fatalf("check: error %v, want ErrReplaced", err)
	}
	if _, err := old.Raise(ctx, young.Epoch()); !errors.Is(err, ownership.ErrReplaced) {
		t.Fatalf("raise: error %v, want ErrReplaced", err)
	}
}

func TestIdleOwnerNoticesThatItWasReplaced(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	old := hold(ctx, t, js)
	ended := make(chan error, 1)
	go func() { ended <- old.Watch(ctx) }()
	hold(ctx, t, js)
	if err := <-ended; !errors.Is(err, ownership.ErrReplaced) {
		t.Fatalf("error %v, want ErrReplaced", err)
	}
}

func TestOwnersOfOtherRolesDoNotReplace(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	h := hold(ctx, t, js)
	if _, err := ownership.Hold(ctx, js, "sequencer"); err != nil {
		t.Fatal(err)
	}
	if err := h.Check(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestLostBucketDoesNotStopAnOwner(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	h := hold(ctx, t, js)
	if err := js.DeleteKeyValue(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	if err := h.Check(ctx); err == nil || errors.Is(err, ownership.ErrReplaced) {
		t.Fatalf("check of a lost bucket: %v, want an error that proves nothing", err)
	}
	told := h.Epoch() + 500
	next, err := h.Raise(ctx, told)
	if err != nil {
		t.Fatal(err)
	}
	if next <= told {
		t.Fatalf("epoch %d, want one above %d", next, told)
	}
}

func TestOwnerIsNotReplacedByALowerEpoch(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	h := hold(ctx, t, js)
	put(ctx, t, js, "5 other") // the bucket was restored
	if err := h.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if next, err := h.Raise(ctx, h.Epoch()); err != nil || next != h.Epoch() {
		t.Fatalf("epoch %d (%v)", next, err)
	}
}

// The acknowledgement of the update that gave an owner its new epoch may be lost.
func TestOwnerIsNotReplacedByItself(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	h := hold(ctx, t, js)
	_, instance := get(ctx, t, js)
	landed := h.Epoch() + 10
	put(ctx, t, js, fmt.Sprintf("%d %s", landed, instance))
	if err := h.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if next, err := h.Raise(ctx, h.Epoch()+1); err != nil || next <= landed {
		t.Fatalf("epoch %d (%v), want one above %d", next, err, landed)
	}
}

func TestTheEpochsOfABucketThatWasLostLieAboveTheOldOnes(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	for range 2 {
		before := uint64(time.Now().Unix())
		// Old ones, of a service that does not start once a second, are not above the time.
		if first := hold(ctx, t, js).Epoch(); first < before {
			t.Fatalf("the first epoch is %d at %d", first, before)
		}
		if err := js.DeleteKeyValue(ctx, bucket); err != nil {
			t.Fatal(err)
		}
	}
}
