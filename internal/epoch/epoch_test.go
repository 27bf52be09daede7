package epoch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/epoch"
)

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestEveryStartGetsAHigherEpoch(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	last := uint64(0)
	for range 5 {
		got, err := epoch.Acquire(ctx, js, "frontend", 0)
		if err != nil {
			t.Fatal(err)
		}
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
			var err error
			if got[i], err = epoch.Acquire(ctx, js, "frontend", 0); err != nil {
				t.Error(err)
			}
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

func TestAnEpochIsAboveWhatItsOwnerWasTold(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	got, err := epoch.Acquire(ctx, js, "frontend", 1000)
	if err != nil {
		t.Fatal(err)
	}
	next, err := epoch.Acquire(ctx, js, "frontend", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got <= 1000 || next <= got {
		t.Fatalf("epochs %d and then %d, want both to rise above 1000", got, next)
	}
}

func TestAnOwnerThatWasFollowedIsReplaced(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	mine, err := epoch.Acquire(ctx, js, "frontend", 0)
	if err != nil {
		t.Fatal(err)
	}
	younger, err := epoch.Acquire(ctx, js, "frontend", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := epoch.Again(ctx, js, "frontend", mine, younger); !errors.Is(err, epoch.ErrReplaced) {
		t.Fatalf("error %v, want ErrReplaced", err)
	}
}

func TestALostBucketDoesNotStopAnOwner(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	mine, err := epoch.Acquire(ctx, js, "frontend", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteKeyValue(ctx, "LANEWAY_EPOCHS"); err != nil {
		t.Fatal(err)
	}
	next, err := epoch.Again(ctx, js, "frontend", mine, mine+500)
	if err != nil {
		t.Fatal(err)
	}
	if next <= mine+500 {
		t.Fatalf("epoch %d, want one above %d", next, mine+500)
	}
}

func TestTheEpochsOfABucketThatWasLostLieAboveTheOldOnes(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx := bounded(t)
	for range 2 {
		before := uint64(time.Now().Unix())
		// Old ones, of a service that does not start once a second, are not above the time.
		if first, err := epoch.Acquire(ctx, js, "frontend", 0); err != nil || first < before {
			t.Fatalf("the first epoch is %d (%v) at %d", first, err, before)
		}
		if err := js.DeleteKeyValue(ctx, "LANEWAY_EPOCHS"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnOwnerWhoseBucketWasLostIsNotTakenForAReplacedOne(t *testing.T) {
	_, js := embeddedtest.Start(t)
	if next, err := epoch.Again(bounded(t), js, "frontend", 5, 7); err != nil || next <= 7 {
		t.Fatalf("epoch %d (%v), want one above 7", next, err)
	}
}
