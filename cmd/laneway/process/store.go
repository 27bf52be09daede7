package process

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/objectstore"
	"laneway.dev/internal/selftest"
	"laneway.dev/internal/storeid"
	"laneway.dev/internal/stores"
)

// Store is how a process uses the object store.
type Store struct {
	Location cli.StoreLocation
	Adopt    bool  // take over a store that may be that of another cluster
	Reserve  int64 // bytes that uploads leave free on the file system of a folder
}

// OpenStore opens the store for services and puts it into their configuration. The
// process closes it after the services have stopped, so it is opened before they
// start. A remote store must pass the self-test first: OpenStore repeats it for as
// long as it fails in a way that may pass, with the reason in the log and in /readyz,
// and returns any other error, such as a right that is missing. It is for use after
// Observe.
func (p *Process) OpenStore(ctx context.Context, use Store, config *Config) error {
	place, err := use.Location.Place()
	if err != nil {
		return err
	}
	store, err := stores.Open(ctx, string(use.Location), use.Reserve)
	if err != nil {
		return err
	}
	p.OnStop("the object store", func(context.Context) error { return store.Close() })
	if use.Location.Remote() {
		if err := p.awaitStore(ctx, store, use.Location.Scheme(), place); err != nil {
			return err
		}
	}
	config.Store = storeid.Candidate{Store: store, Place: place, Adopt: use.Adopt, Waiting: p.waitingForStore(use.Location.Scheme(), place)}
	return nil
}

// waitingForStore returns a function that is called while services that start wait for the
// store: with the reason, which is logged and appears in /readyz, and with nil at the end.
func (p *Process) waitingForStore(scheme, place string) func(error) {
	return func(err error) {
		if err == nil {
			p.pages.Unregister("object store")
			return
		}
		err = storeError(scheme, place, selftest.Read, err)
		p.Log.Warn("waiting for the object store, for as long as it takes", zap.Error(err))
		p.Register("object store", func(context.Context) error { return err })
	}
}

// storeError says why a step does not work on a store, and what to do.
func storeError(scheme, place string, step selftest.Step, err error) error {
	sentence, advice := selftest.Cause(scheme, step, err)
	err = fmt.Errorf("object store %s: %s", place, sentence)
	if advice != "" {
		err = cli.Advise(err, advice)
	}
	return err
}

// awaitStore tests a store until it works, ctx ends, or the store fails in a way that does not
// go away by itself.
func (p *Process) awaitStore(ctx context.Context, store objectstore.Store, scheme, place string) error {
	var unready atomic.Pointer[error]
	testing := errors.New("the object store is being tested")
	unready.Store(&testing)
	p.Register("object store", func(context.Context) error { return *unready.Load() })
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		slow := time.AfterFunc(slowTest, func() {
			p.Log.Warn("the object store has not answered yet", zap.String("store", place), zap.Duration("waits at most", testTimeout))
		})
		defer slow.Stop()
		err := p.testStore(ctx, store, scheme, place)
		if err != nil {
			unready.Store(&err)
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(0), backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 200 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.5, MaxInterval: 10 * time.Second,
	}), backoff.WithNotify(func(err error, wait time.Duration) {
		p.Log.Warn("waiting for the object store, for as long as it takes", zap.Error(err), zap.Duration("wait", wait))
	}))
	if err == nil {
		p.pages.Unregister("object store") // what follows is the start of the services
	}
	return err
}

const (
	// testTimeout bounds one run of the self-test.
	testTimeout = 30 * time.Second
	// slowTest is how long a run may take before a line of the log says so.
	slowTest = 2 * time.Second
)

// testStore runs the self-test once. The error is permanent unless it may go away by itself.
func (p *Process) testStore(ctx context.Context, store objectstore.Store, scheme, place string) error {
	findings, failed, err := runTest(ctx, store, scheme, place)
	for i := range findings {
		if findings[i].Lacks != "" {
			p.Log.Warn("the object store works, but lacks something", zap.String("store", place), zap.String("lacks", findings[i].Lacks))
		}
	}
	if err == nil || failed != nil && (objectstore.Passing(failed.Err) || errors.Is(failed.Err, context.DeadlineExceeded)) {
		return err
	}
	return backoff.Permanent(err)
}

// runTest runs the self-test once. failed is the first step that does not work, and err says why
// and what to do. Other errors have no step.
func runTest(ctx context.Context, store objectstore.Store, scheme, place string) (findings []selftest.Finding, failed *selftest.Finding, err error) {
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	if findings, err = selftest.Run(ctx, store); err != nil {
		return nil, nil, err
	}
	if failed = selftest.Failed(findings); failed != nil {
		err = storeError(scheme, place, failed.Step, failed.Err)
	}
	return findings, failed, err
}

// TestStore runs the self-test of a store once, for a command that is about to start services with
// it. It takes half a minute at most.
func TestStore(ctx context.Context, location cli.StoreLocation) (err error) {
	place, err := location.Place()
	if err != nil {
		return err
	}
	store, err := stores.Open(ctx, string(location), 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	_, _, err = runTest(ctx, store, location.Scheme(), place)
	return err
}
