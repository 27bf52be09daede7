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

// awaitSequencers returns when the sequencers own so many logs each, in any order.
func (f *fixture) awaitSequencers(ctx context.Context, t *testing.T, logs ...int) {
	t.Helper()
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for {
		want, got := make(map[int]int), make(map[int]int)
		for _, n := range logs {
			want[n]++
		}
		all := f.members(ctx, t)
		for _, m := range all {
			if m.Role == deployment.Sequencer && !m.Gone {
				got[len(m.Logs)]++
			}
		}
		if maps.Equal(want, got) {
			return
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			t.Fatalf("there are %+v, want sequencers with %v logs", all, logs)
		}
	}
}

func TestAnotherSequencerTakesTheLogsOfOneThatIsNotThere(t *testing.T) {
	t.Parallel() // it waits most of the time
	for how, disturb := range map[string]func(context.Context, *testing.T, *deployment.Instance){
		"killed": func(_ context.Context, _ *testing.T, older *deployment.Instance) { older.Kill() },
		"frozen": func(_ context.Context, _ *testing.T, older *deployment.Instance) { older.Pause() },
		"stopped": func(ctx context.Context, t *testing.T, older *deployment.Instance) {
			if code := older.Terminate(ctx); code != 0 {
				t.Errorf("the exit code is %d", code)
			}
		},
	} {
		t.Run(how, func(t *testing.T) {
			ctx := within(t, time.Minute)
			f := start(t, deployment.RoleProcesses, sendsBothKinds)
			older := f.Succeed(deployment.Sequencer)
			f.AwaitReady(ctx)
			f.underLoad(ctx, t, func() map[string][]load.Batch {
				disturb(ctx, t, older)
				probes := f.probe(ctx, t, "after")
				f.awaitSequencers(ctx, t, 4)
				maps.Copy(probes, f.probe(ctx, t, "alone"))
				return probes
			})
		})
	}
}

func TestASequencerThatWakesUpServesAgainWhatItIsGiven(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.RoleProcesses, sendsBothKinds)
	older := f.Succeed(deployment.Sequencer)
	f.AwaitReady(ctx)
	f.underLoad(ctx, t, func() map[string][]load.Batch {
		probes := make(map[string][]load.Batch)
		for round := range 2 {
			older.Pause()
			f.awaitSequencers(ctx, t, 4)
			older.Resume()
			maps.Copy(probes, f.probe(ctx, t, fmt.Sprint("awake", round)))
			f.awaitSequencers(ctx, t, 2, 2)
			maps.Copy(probes, f.probe(ctx, t, fmt.Sprint("shared", round)))
		}
		return probes
	})
	if !older.Runs() {
		t.Error("it has ended")
	}
}
