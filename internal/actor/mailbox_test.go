package actor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestEverythingThatWaitsIsTakenAtOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailbox[int](10)
		for i := range 5 {
			if err := m.Offer(i); err != nil {
				t.Fatal(err)
			}
		}
		var turns [][]int
		m.Run(t.Context(), time.Hour, func(_ time.Time, events []int) bool {
			turns = append(turns, append([]int(nil), events...))
			return false
		})
		if len(turns) != 1 || len(turns[0]) != 5 || turns[0][0] != 0 || turns[0][4] != 4 {
			t.Fatalf("turns %v, want one with 0…4", turns)
		}
	})
}

func TestAFullMailboxAnswers(t *testing.T) {
	m := NewMailbox[int](1)
	if err := m.Offer(1); err != nil {
		t.Fatal(err)
	}
	if err := m.Offer(2); !errors.Is(err, ErrFull) {
		t.Fatalf("error %v, want ErrFull", err)
	}
}

func TestEventsThatAreBoundedElsewhereTakeNoRoom(t *testing.T) {
	m := NewMailbox[int](1)
	for _, event := range []int{1, 2} {
		if err := m.Add(event); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Offer(3); err != nil {
		t.Fatalf("error %v although only events without a limit wait", err)
	}
	if err := m.Add(4); err != nil {
		t.Fatal(err)
	}
	if err := m.Offer(5); !errors.Is(err, ErrFull) {
		t.Fatalf("error %v, want ErrFull", err)
	}
	if got := m.take(); !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Fatalf("took %v, want all in their order", got)
	}
	if err := m.Offer(6); err != nil {
		t.Fatalf("error %v after everything was taken", err)
	}
	m.Close()
	if err := m.Add(7); !errors.Is(err, ErrClosed) {
		t.Fatalf("error %v, want ErrClosed", err)
	}
}

func TestPutWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailbox[int](1)
		if err := m.Offer(1); err != nil {
			t.Fatal(err)
		}
		put := make(chan error, 1)
		go func() { put <- m.Put(t.Context(), 2) }()
		synctest.Wait()
		select {
		case err := <-put:
			t.Fatalf("put into a full mailbox returned %v", err)
		default:
		}
		seen := 0
		m.Run(t.Context(), time.Hour, func(_ time.Time, events []int) bool {
			seen += len(events)
			return seen < 2
		})
		if err := <-put; err != nil {
			t.Fatal(err)
		}
	})
}

func TestPutGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailbox[int](1)
		if err := m.Offer(1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Put(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v, want deadline exceeded", err)
		}
	})
}

func TestATurnComesWithEveryTickWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		turns := 0
		NewMailbox[int](1).Run(t.Context(), time.Minute, func(time.Time, []int) bool {
			turns++
			return turns < 3
		})
		if got := time.Since(started); got != 3*time.Minute {
			t.Fatalf("three turns after %v, want 3m", got)
		}
	})
}

func TestAStoppedActorRefusesAndWakesItsSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailbox[int](1)
		if err := m.Offer(1); err != nil {
			t.Fatal(err)
		}
		put := make(chan error, 1)
		go func() { put <- m.Put(t.Context(), 2) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		m.Close()
		m.Run(ctx, time.Hour, func(time.Time, []int) bool { return false })
		if err := <-put; !errors.Is(err, ErrClosed) {
			t.Fatalf("waiting sender got %v, want ErrClosed", err)
		}
		if err := m.Offer(3); !errors.Is(err, ErrClosed) {
			t.Fatalf("late sender got %v, want ErrClosed", err)
		}
		if rest := m.Rest(); len(rest) > 1 {
			t.Fatalf("rest %v, want at most the one event that was there", rest)
		}
	})
}

func BenchmarkOfferAndTake(b *testing.B) {
	m := NewMailbox[int](1024)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if m.Offer(i) != nil {
			m.take()
		}
	}
}
