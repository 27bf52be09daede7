package produce

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/zap"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/ownership"
	"laneway.dev/internal/service"
	"laneway.dev/pkg/messages"
)

// claimed returns an epoch that is taken, and the subjects that it subscribes to. The
// subscriptions fail with what fail returns.
func claimed(t *testing.T, fail func() error) (*Epoch, *[]string) {
	t.Helper()
	_, js := embeddedtest.Start(t)
	var subjects []string
	e := NewEpoch(EpochConfig{JS: js, Logger: zap.NewNop(), Ending: service.NewEnding("frontend"), Subscribe: func(_ context.Context, subject string) error {
		err := fail()
		if err == nil {
			subjects = append(subjects, subject)
		}
		return err
	}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Claim(ctx) }()
	t.Cleanup(func() {
		cancel()
		t.Logf("the claim ended: %v", <-done)
	})
	if err := e.Await(ctx, done); err != nil {
		t.Fatal(err)
	}
	return e, &subjects
}

func TestFencedPartitionsShareNewEpoch(t *testing.T) {
	e, subjects := claimed(t, func() error { return nil })
	above := e.Number() + 10
	for range 3 {
		if next, err := e.raise(t.Context(), above); err != nil || next <= above || next != e.Number() {
			t.Fatalf("epoch %d, %v", next, err)
		}
	}
	if len(*subjects) != 2 || (*subjects)[1] != messages.FrontendWildcard(e.Number()) {
		t.Errorf("subscribed to %v", *subjects)
	}
}

func TestFailedEpochSubscriptionIsRetried(t *testing.T) {
	var failure error
	e, subjects := claimed(t, func() error { return failure })
	failure = errors.New("no connection")
	above := e.Number() + 10
	if _, err := e.raise(t.Context(), above); !errors.Is(err, failure) {
		t.Fatalf("error %v", err)
	}
	failure = nil
	next, err := e.raise(t.Context(), above)
	if err != nil || len(*subjects) != 2 || (*subjects)[1] != messages.FrontendWildcard(next) {
		t.Fatalf("epoch %d, %v, subscribed to %v", next, err, *subjects)
	}
}

func TestYoungerFrontendEndsTheService(t *testing.T) {
	e, _ := claimed(t, func() error { return nil })
	younger, err := ownership.Hold(t.Context(), e.config.JS, "frontend")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.raise(t.Context(), younger.Epoch()); !errors.Is(err, ownership.ErrReplaced) {
		t.Fatalf("error %v", err)
	}
	receive(t, e.config.Ending.Done())
}

func TestClaimThatCannotSubscribeEndsTheService(t *testing.T) {
	_, js := embeddedtest.Start(t)
	failure := errors.New("no connection")
	e := NewEpoch(EpochConfig{JS: js, Logger: zap.NewNop(), Ending: service.NewEnding("frontend"), Subscribe: func(context.Context, string) error { return failure }})
	done := make(chan error, 1)
	go func() { done <- e.Claim(t.Context()) }()
	if err := e.Await(t.Context(), done); !errors.Is(err, failure) || !errors.Is(e.config.Ending.Err(), failure) || e.Number() != 0 {
		t.Fatalf("error %v, ended with %v", err, e.config.Ending.Err())
	}
}

func TestStartDoesNotWaitBeyondItsContext(t *testing.T) {
	e := NewEpoch(EpochConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Await(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
}
