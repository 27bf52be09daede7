package storeid

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/objectstore"
)

// failing is a store whose requests of each kind fail some times, one after the other.
type failing struct {
	objectstore.Store
	t     *testing.T
	cause error
	left  map[string]int // failures by method
}

func newFailing(t *testing.T, store objectstore.Store, cause error, failures int) *failing {
	return &failing{store, t, cause, map[string]int{"marker": failures, "list": failures, "mark": failures}}
}

func (f *failing) Below(string) objectstore.Store { return f }

func (f *failing) fail(method string) error {
	if f.left[method]--; f.left[method] < 0 {
		return nil
	}
	return fmt.Errorf("injected into %s: %w", method, f.cause)
}

// wantTime fails the test if a slow store has no time to answer.
func (f *failing) wantTime(ctx context.Context) {
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) < requestTime/2 {
		f.t.Errorf("a request has %v", time.Until(deadline))
	}
}

func (f *failing) Marker(ctx context.Context) ([]byte, error) {
	f.wantTime(ctx)
	if err := f.fail("marker"); err != nil {
		return nil, err
	}
	return f.Store.Marker(ctx)
}

func (f *failing) Mark(ctx context.Context, text []byte) error {
	f.wantTime(ctx)
	if err := f.fail("mark"); err != nil {
		return err
	}
	return f.Store.Mark(ctx, text)
}

func (f *failing) List(ctx context.Context, prefix string) iter.Seq2[objectstore.Listed, error] {
	f.wantTime(ctx)
	if err := f.fail("list"); err != nil {
		return func(yield func(objectstore.Listed, error) bool) { yield(objectstore.Listed{}, err) }
	}
	return f.Store.List(ctx, prefix)
}

func TestStoreThatFailsForAWhileIsWaitedFor(t *testing.T) {
	_, js := embeddedtest.Start(t)
	c := in(t, t.TempDir())
	const failures = 3
	c.Store = newFailing(t, c.Store, objectstore.ErrThrottled, failures)
	var waits []error
	c.Waiting = func(err error) { waits = append(waits, err) }
	silent := func(err error) { t.Errorf("JetStream is blamed for %v", err) }
	if _, err := Join(limited(t), js, c, silent); err != nil {
		t.Fatal(err)
	}
	reasons, ends := 0, 0
	for _, err := range waits {
		if err == nil {
			ends++
		} else if errors.Is(err, objectstore.ErrThrottled) {
			reasons++
		}
	}
	if reasons != 3*failures || ends != 3 || waits[len(waits)-1] != nil {
		t.Errorf("the reasons to wait are %v, want %d of each request, each time with an end", waits, failures)
	}
}

func TestStoreThatDeniesEndsTheStart(t *testing.T) {
	_, js := embeddedtest.Start(t)
	c := in(t, t.TempDir())
	c.Store = newFailing(t, c.Store, objectstore.ErrDenied, 1)
	c.Waiting = func(err error) { t.Errorf("it waits because of %v", err) }
	if err := join(limited(t), js, c); !errors.Is(err, objectstore.ErrDenied) {
		t.Errorf("the start ends with %v", err)
	}
}

func TestWaitForAStoreEndsWithTheContext(t *testing.T) {
	_, js := embeddedtest.Start(t)
	ctx, cancel := context.WithCancel(limited(t))
	c := in(t, t.TempDir())
	c.Store = newFailing(t, c.Store, objectstore.ErrUnreachable, 1000)
	c.Waiting = func(error) { cancel() }
	if err := join(ctx, js, c); !errors.Is(err, context.Canceled) {
		t.Errorf("the wait ends with %v", err)
	}
}

// silentStore is a store that does not answer.
type silentStore struct{ objectstore.Store }

func (silentStore) Marker(ctx context.Context) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestIdentityOfASilentStoreIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, _, err := Identity(t.Context(), Candidate{Store: silentStore{}}); !objectstore.Passing(err) {
			t.Errorf("the error is %v, want one that may pass", err)
		}
	})
}
