package e2e

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/test/deployment"
)

// TestAsyncPublisherContinuesAfterFrontendCrash kills the frontend while
// an unmodified publisher has as many unanswered messages as it allows itself.
func TestAsyncPublisherContinuesAfterFrontendCrash(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.RoleProcesses, deployment.Options{})
	const most = 256
	js, err := jetstream.New(f.Connect(), jetstream.WithPublishAsyncMaxPending(most), jetstream.WithPublishAsyncTimeout(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	publish := func() (jetstream.PubAckFuture, error) {
		return js.PublishAsync(f.partition.ProduceSubject(), []byte("value"))
	}
	f.Pause(deployment.Stager) // nothing is answered
	futures := make([]jetstream.PubAckFuture, most)
	for i := range futures {
		if futures[i], err = publish(); err != nil {
			t.Fatal(err)
		}
	}
	f.AwaitMetric(ctx, deployment.Frontend, "laneway_frontend_tickets_outstanding", func(v float64) bool { return v >= most })
	f.Kill(deployment.Frontend)
	f.Resume(deployment.Stager)
	f.Restart(deployment.Frontend)
	f.AwaitReady(ctx)
	for i, future := range futures {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			t.Logf("message %d: %v", i, err) // its outcome is unknown
		case <-ctx.Done():
			t.Fatalf("message %d is pending forever: %v", i, context.Cause(ctx))
		}
	}
	err = deployment.Eventually(ctx, func(ctx context.Context) error {
		future, err := publish()
		if err != nil {
			return err
		}
		select {
		case <-future.Ok():
			return nil
		case err := <-future.Err():
			return err
		case <-ctx.Done():
			return errors.New("no answer")
		}
	})
	if err != nil {
		t.Errorf("the publisher sends nothing more: %v", err)
	}
}
