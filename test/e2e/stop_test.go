package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

func TestTerminationUnderLoadLosesNothing(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f := start(t, kind, stager("--fault", "stage.delay=uniform(0,100ms)"))
		fleet, err := load.NewFleet(f.conn, load.Config{
			Partition: f.partition, Name: "producer", Producers: 8, InFlight: 10, Patience: patience,
		})
		if err != nil {
			t.Fatal(err)
		}
		stop, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- fleet.SendUntil(ctx, stop) }()
		elapse(ctx, 500*time.Millisecond)
		roles := f.Roles()
		for _, role := range slices.Backward(roles) { // what takes requests ends first
			started := time.Now()
			if code := f.Terminate(role); code != 0 {
				t.Errorf("%s ended with code %d", role, code)
			}
			took(t, started, "%s has ended", role)
		}
		close(stop)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		for _, role := range roles {
			f.Restart(role)
		}
		f.AwaitReady(ctx)
		f.AwaitConnected(ctx, f.conn)
		sent := fleet.Batches()
		count(t, len(f.verify(ctx, t, sent)), sent)
	})
}

func TestSecondServeOnDataFolderExits(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.OneProcess, deployment.Options{})
	second := f.Laneway(ctx, "serve", "--data", f.Data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	code, output, err := deployment.ExitCode(second)
	if err != nil {
		t.Fatal(err)
	}
	const inUse = 4
	if code != inUse || !strings.Contains(output, f.Data) || !strings.Contains(output, "use") {
		t.Errorf("it exits with %d, want %d, and says:\n%s", code, inUse, output)
	}
	if ack := f.request(ctx, t, record("still here")); ack.Error != nil || ack.Offset != 0 {
		t.Errorf("the first one answers %+v", ack)
	}
}
