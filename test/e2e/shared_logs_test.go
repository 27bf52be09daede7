package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

// sharesLogs are the roles whose instances share the logs.
var sharesLogs = []string{deployment.Sequencer, deployment.Replicator}

// awaitShares returns when the instances of a role own so many logs each, in any order.
func (f *fixture) awaitShares(ctx context.Context, t *testing.T, role string, logs ...int) {
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
			if m.Role == role && !m.Gone {
				got[len(m.Logs)]++
			}
		}
		if maps.Equal(want, got) {
			return
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			t.Fatalf("there are %+v, want instances of the role %s with %v logs", all, role, logs)
		}
	}
}

// drainOwner drains the instance of a role with the most logs.
func (f *fixture) drainOwner(ctx context.Context, t *testing.T, role string) {
	t.Helper()
	var owner member
	for _, m := range f.members(ctx, t) {
		if m.Role == role && len(m.Logs) > len(owner.Logs) {
			owner = m
		}
	}
	output, err := f.Laneway(ctx, "cluster", "drain", owner.Instance).CombinedOutput()
	if want := owner.Instance + " owns no logs any more\n"; err != nil || string(output) != want {
		t.Errorf("%v: printed %q, want %q", err, output, want)
	}
}

func TestDrainSaysWhatItCannotDo(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	f.AwaitReady(ctx)
	f.awaitShares(ctx, t, deployment.Replicator, 4)
	instance := f.members(ctx, t)[0].Instance
	for name, want := range map[string]string{instance: "no other replicator runs", "elsewhere": `no instance "elsewhere" owns logs`} {
		output, err := f.Laneway(ctx, "cluster", "drain", name).CombinedOutput()
		if err == nil || !strings.Contains(string(output), want) {
			t.Errorf("drain %s: %v, printed %q, want %q", name, err, output, want)
		}
	}
}

func TestClusterStatusCanBeWatched(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	command := f.Laneway(ctx, "cluster", "status", "--watch", "--json")
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for range 3 {
		var members []member
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &members) != nil {
			t.Fatalf("printed %q: %v", lines.Text(), lines.Err())
		}
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
}

func TestAnotherInstanceTakesTheLogsOfOneThatIsNotThere(t *testing.T) {
	t.Parallel() // it waits most of the time
	for how, c := range map[string]struct {
		disturb func(context.Context, *testing.T, *fixture, *deployment.Instance, string)
		logs    []int // of each instance that is there then
	}{
		"killed": {func(_ context.Context, _ *testing.T, _ *fixture, older *deployment.Instance, _ string) { older.Kill() }, []int{4}},
		"frozen": {func(_ context.Context, _ *testing.T, _ *fixture, older *deployment.Instance, _ string) { older.Pause() }, []int{4}},
		"stopped": {func(ctx context.Context, t *testing.T, _ *fixture, older *deployment.Instance, _ string) {
			if code := older.Terminate(ctx); code != 0 {
				t.Errorf("the exit code is %d", code)
			}
		}, []int{4}},
		"drained": {func(ctx context.Context, t *testing.T, f *fixture, _ *deployment.Instance, role string) {
			f.drainOwner(ctx, t, role)
		}, []int{0, 4}},
	} {
		for _, role := range sharesLogs {
			t.Run(role+" "+how, func(t *testing.T) {
				ctx := within(t, time.Minute)
				f := start(t, deployment.RoleProcesses, sendsBothKinds)
				older := f.Succeed(role)
				f.AwaitReady(ctx)
				f.underLoad(ctx, t, func() map[string][]load.Batch {
					c.disturb(ctx, t, f, older, role)
					probes := f.probe(ctx, t, "after")
					f.awaitShares(ctx, t, role, c.logs...)
					maps.Copy(probes, f.probe(ctx, t, "alone"))
					return probes
				})
			})
		}
	}
}

func TestAnInstanceThatWakesUpServesAgainWhatItIsGiven(t *testing.T) {
	t.Parallel() // it waits most of the time
	for _, role := range sharesLogs {
		t.Run(role, func(t *testing.T) {
			ctx := within(t, 2*time.Minute)
			f := start(t, deployment.RoleProcesses, sendsBothKinds)
			older := f.Succeed(role)
			f.AwaitReady(ctx)
			f.underLoad(ctx, t, func() map[string][]load.Batch {
				probes := make(map[string][]load.Batch)
				for round := range 2 {
					older.Pause()
					f.awaitShares(ctx, t, role, 4)
					older.Resume()
					maps.Copy(probes, f.probe(ctx, t, fmt.Sprint("awake", round)))
					f.awaitShares(ctx, t, role, 2, 2)
					maps.Copy(probes, f.probe(ctx, t, fmt.Sprint("shared", round)))
				}
				return probes
			})
			if !older.Runs() {
				t.Error("it has ended")
			}
		})
	}
}
