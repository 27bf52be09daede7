package e2e

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

// replaced is the exit code of a service that a younger instance has replaced.
const replaced = 3

// underLoad runs a disturbance while producers send, and then compares what they
// were answered with what is there. The disturbance returns what it has sent.
func (f *fixture) underLoad(ctx context.Context, t *testing.T, disturb func() map[string][]load.Batch) {
	t.Helper()
	fleet, err := load.NewFleet(f.conn, load.Config{
		Partition: f.partition, Name: "producer", Producers: 8, InFlight: 10, Patience: patience, Bytes: bothKinds,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- fleet.SendUntil(ctx, stop) }()
	elapse(ctx, 300*time.Millisecond)
	probes := disturb()
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := fleet.Faults(); err != nil {
		t.Error(err)
	}
	f.AwaitMetric(ctx, deployment.Frontend, "laneway_frontend_tickets_outstanding", func(v float64) bool { return v == 0 })
	sent := fleet.Batches()
	maps.Copy(sent, probes)
	count(t, len(f.verify(ctx, t, sent)), sent)
	f.checkKinds(ctx, t)
}

func (f *fixture) probe(ctx context.Context, t *testing.T, name string) map[string][]load.Batch {
	t.Helper()
	probe, err := untilAcknowledged(ctx, f, name)
	if err != nil {
		t.Fatalf("publishing does not work again: %v", err)
	}
	return map[string][]load.Batch{probe.Name: probe.Batches()}
}

func TestNothingAcknowledgedIsLostWhenProcessesHang(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.RoleProcesses, sendsBothKinds)
	f.underLoad(ctx, t, func() map[string][]load.Batch {
		probes := make(map[string][]load.Batch)
		for round, role := range f.Roles() {
			f.Pause(role)
			elapse(ctx, 2500*time.Millisecond)
			f.Resume(role)
			maps.Copy(probes, f.probe(ctx, t, fmt.Sprint("probe", round)))
		}
		return probes
	})
}

func TestAYoungerInstanceReplacesTheOlder(t *testing.T) {
	t.Parallel() // it waits most of the time
	for _, role := range ownedByOne {
		t.Run(role, func(t *testing.T) {
			ctx := within(t, time.Minute)
			f := start(t, deployment.RoleProcesses, sendsBothKinds)
			f.underLoad(ctx, t, func() map[string][]load.Batch {
				older := f.Succeed(role)
				probes := f.probe(ctx, t, "after")
				if code := older.Wait(ctx); code != replaced {
					t.Errorf("the older %s ended with code %d, want %d", role, code, replaced)
				}
				maps.Copy(probes, f.probe(ctx, t, "alone"))
				return probes
			})
		})
	}
}

func TestResumedInstanceIsSilentAfterSuccessor(t *testing.T) {
	for _, role := range ownedByOne {
		t.Run(role, func(t *testing.T) {
			ctx := within(t, time.Minute)
			f := start(t, deployment.RoleProcesses, sendsBothKinds)
			f.underLoad(ctx, t, func() map[string][]load.Batch {
				f.Pause(role)
				older := f.Succeed(role)
				f.AwaitReady(ctx)
				older.Resume()
				probes := f.probe(ctx, t, "after")
				if code := older.Wait(ctx); code != replaced {
					t.Errorf("the older %s ended with code %d, want %d", role, code, replaced)
				}
				maps.Copy(probes, f.probe(ctx, t, "alone"))
				return probes
			})
		})
	}
}
