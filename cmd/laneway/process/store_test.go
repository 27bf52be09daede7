package process

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/health"
	"laneway.dev/internal/objectstore"
)

// failing is a store whose puts fail with these errors, one after the other, and then succeed.
type failing struct {
	objectstore.Store
	errs []error
	seen func() // is called before each put
}

func (f *failing) Below(string) objectstore.Store { return f }

func (f *failing) Put(ctx context.Context, key string, parts [][]byte) error {
	f.seen()
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return fmt.Errorf("put: %w", err)
	}
	return f.Store.Put(ctx, key, parts)
}

func newFailing(t *testing.T, errs ...error) *failing {
	t.Helper()
	store, err := objectstore.Open(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return &failing{Store: store, errs: errs, seen: func() {}}
}

func TestStoreThatDoesNotAnswerIsWaitedFor(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	p := &Process{Log: zap.New(core), pages: health.New(nil)}
	store := newFailing(t, objectstore.ErrUnreachable, objectstore.ErrThrottled)
	var reasons []string
	store.seen = func() { reasons = append(reasons, p.pages.Unready(t.Context())["object store"]) }

	if err := p.awaitStore(t.Context(), store, "s3", "s3://bucket"); err != nil {
		t.Fatal(err)
	}
	if len(reasons) < 3 || !strings.Contains(reasons[1], "does not answer") || !strings.Contains(reasons[2], "fewer requests") {
		t.Errorf("/readyz says %q, want the reason after each attempt", reasons)
	}
	if unready := p.pages.Unready(t.Context()); len(unready) != 1 || unready["process"] == "" {
		t.Errorf("after the test and before the services are started /readyz says %v", unready)
	}
	if got := logged.FilterMessageSnippet("waiting for the object store").Len(); got != 2 {
		t.Errorf("%d lines are logged about it, want 2", got)
	}
}

func TestStoreThatDeniesEndsTheStart(t *testing.T) {
	p := &Process{Log: zap.NewNop(), pages: health.New(nil)}
	err := p.awaitStore(t.Context(), newFailing(t, objectstore.ErrDenied), "s3", "s3://bucket")
	if err == nil || !strings.Contains(err.Error(), "s3:PutObject") || !strings.Contains(err.Error(), "s3://bucket") || cli.Advice(err) == "" {
		t.Errorf("the start ends with %v, want the store and the right that is missing", err)
	}
}

// silent is a store that does not answer.
type silent struct{ objectstore.Store }

func (s silent) Below(string) objectstore.Store { return s }

func (silent) Put(ctx context.Context, _ string, _ [][]byte) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestStoreThatIsSilentIsReportedWhileItIsTested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.WarnLevel)
		p := &Process{Log: zap.New(core), pages: health.New(nil)}
		ctx, cancel := context.WithTimeout(t.Context(), slowTest+time.Second)
		defer cancel()
		if err := p.awaitStore(ctx, silent{}, "s3", "s3://bucket"); err == nil {
			t.Error("a store that does not answer works")
		}
		if logged.FilterMessageSnippet("has not answered yet").Len() != 1 {
			t.Errorf("logged is %v", logged.All())
		}
	})
}

// slow is a store that fails each put after a while, and answers no list.
type slow struct{ silent }

func (s slow) Below(string) objectstore.Store { return s }

func (slow) Put(context.Context, string, [][]byte) error {
	<-time.After(testTimeout * 2 / 3)
	return objectstore.ErrUnreachable
}

func (slow) List(ctx context.Context, _ string) iter.Seq2[objectstore.Listed, error] {
	return func(yield func(objectstore.Listed, error) bool) {
		<-ctx.Done()
		yield(objectstore.Listed{}, ctx.Err())
	}
}

func TestRunOfTheTestIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, _, err := runTest(t.Context(), slow{}, "s3", "s3://bucket")
		if err == nil || !strings.Contains(err.Error(), "does not answer") || !strings.Contains(cli.Advice(err), "endpoint") || time.Since(began) != testTimeout {
			t.Errorf("the test ends after %v with %v and the advice %q", time.Since(began), err, cli.Advice(err))
		}
	})
}

func TestWaitForAStoreEndsWithTheProcess(t *testing.T) {
	p := &Process{Log: zap.NewNop(), pages: health.New(nil)}
	ctx, cancel := context.WithCancel(t.Context())
	store := newFailing(t, objectstore.ErrUnreachable)
	store.seen = cancel
	if err := p.awaitStore(ctx, store, "s3", "s3://bucket"); !errors.Is(err, context.Canceled) {
		t.Errorf("the wait ends with %v", err)
	}
}

func TestServicesThatWaitForTheStoreSayWhy(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	p := &Process{Log: zap.New(core), pages: health.New(nil)}
	waiting := p.waitingForStore("s3", "s3://bucket")
	waiting(fmt.Errorf("read the marker: %w", objectstore.ErrUnreachable))
	if reason := p.pages.Unready(t.Context())["object store"]; !strings.Contains(reason, "s3://bucket") || !strings.Contains(reason, "does not answer") {
		t.Errorf("/readyz says %q", reason)
	}
	if logged.FilterMessageSnippet("waiting for the object store").Len() != 1 {
		t.Errorf("logged is %v", logged.All())
	}
	waiting(nil)
	if unready := p.pages.Unready(t.Context()); len(unready) != 1 || unready["process"] == "" {
		t.Errorf("after that /readyz says %v", unready)
	}
}

func TestSilenceOfJetStreamIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.WarnLevel)
		silent := warnOfSilence(zap.New(core), "which object store this Laneway has")
		for _, want := range []int{0, 1, 1} {
			silent(context.DeadlineExceeded)
			if got := logged.FilterMessageSnippet("JetStream").Len(); got != want {
				t.Errorf("%d lines are logged, want %d", got, want)
			}
			<-time.After(slowJoin)
		}
	})
}
