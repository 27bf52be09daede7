package e2e

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/test/deployment"
)

// stateful are the roles of which one instance owns everything.
var stateful = []string{deployment.Frontend, deployment.Sequencer, deployment.Replicator}

// An idle instance hears nothing of its successor: it has to look.
func TestAnIdleInstanceThatWasReplacedEnds(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		for _, role := range stateful {
			t.Run(role+map[bool]string{true: ", frozen"}[frozen], func(t *testing.T) {
				ctx := within(t, time.Minute)
				f := start(t, deployment.FiveProcesses, deployment.Options{})
				if frozen {
					f.Pause(role)
				}
				older := f.Succeed(role)
				f.AwaitReady(ctx)
				if frozen {
					older.Resume()
				}
				if code := older.Wait(ctx); code != replaced {
					t.Errorf("the older %s ended with code %d, want %d", role, code, replaced)
				}
				f.probe(ctx, t, "after")
			})
		}
	}
}

// The log of a topic that was made again has no term of the younger replicator for
// the older one to find, when that one is as fast to take it.
func TestTheYoungerReplicatorStaysWhenTheOlderMeetsAPartitionThatIsNewToIt(t *testing.T) {
	ctx := within(t, time.Minute)
	f := start(t, deployment.FiveProcesses, deployment.Options{})
	f.CreateTopic(f.conn, "again")
	f.Pause(deployment.Replicator)
	older := f.Succeed(deployment.Replicator)
	f.AwaitReady(ctx)
	f.DeleteTopic(f.conn, "again")
	again := f.CreateTopic(f.conn, "again").Partition(0)
	older.Resume()
	for range 5 {
		f.request(ctx, t, &nats.Msg{Subject: again.ProduceSubject(), Data: []byte("into the new topic")})
		f.request(ctx, t, &nats.Msg{Data: []byte("into one that was there")})
	}
	if code := older.Wait(ctx); code != replaced {
		t.Errorf("the older replicator ended with code %d, want %d", code, replaced)
	}
	f.request(ctx, t, &nats.Msg{Subject: again.ProduceSubject(), Data: []byte("alone")})
	f.request(ctx, t, &nats.Msg{Data: []byte("alone")})
	if f.Ended(deployment.Replicator) {
		t.Errorf("the younger replicator has ended with code %d", f.Wait(ctx, deployment.Replicator))
	}
}
