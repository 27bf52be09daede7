package rounds_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"laneway.dev/internal/rounds"
)

func TestAnswerIsNotOlderThanTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		hold := make(chan struct{})
		r := rounds.New(time.Minute, func(context.Context) (int64, error) {
			number := requests.Add(1)
			<-hold
			return number, nil
		})
		var wait sync.WaitGroup
		ask := func(want int64) {
			wait.Go(func() {
				if got, err := r.Ask(t.Context()); got != want || err != nil {
					t.Errorf("answer %v, error %v, want %v", got, err, want)
				}
			})
		}
		ask(1)
		synctest.Wait()
		for range 100 {
			ask(2)
		}
		synctest.Wait()
		close(hold)
		wait.Wait()
		if requests.Load() != 2 {
			t.Errorf("%d requests, want 2", requests.Load())
		}
	})
}

func TestEndOfOneContextEndsNoRequestOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		r := rounds.New(time.Minute, func(ctx context.Context) (string, error) {
			<-hold
			return "answer", ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		for range 2 { // the first sends a request, the second waits for the next one
			wait.Go(func() { _, _ = r.Ask(ctx) })
			synctest.Wait()
		}
		wait.Go(func() {
			if got, err := r.Ask(t.Context()); got != "answer" || err != nil {
				t.Errorf("%q, error %v", got, err)
			}
		})
		synctest.Wait()
		cancel()
		close(hold)
		wait.Wait()
		if _, err := r.Ask(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("error %v after the context has ended", err)
		}
	})
}

func TestRequestEndsAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rounds.New(time.Second, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if _, err := r.Ask(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}
