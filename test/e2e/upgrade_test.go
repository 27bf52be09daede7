package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/test/deployment"
)

// A version that gave a stream to each log has left one.
func TestLogsOfOlderVersionAreRefused(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		f := start(t, kind, deployment.Options{})
		ctx := within(t, time.Minute)
		js, err := jetstream.New(f.conn)
		if err != nil {
			t.Fatal(err)
		}
		const older = "LANEWAY_LOG-0000000000000007-0"
		config := jetstream.StreamConfig{Name: older, Subjects: []string{"_laneway.log.0000000000000007.0"}}
		if _, err := js.CreateStream(ctx, config); err != nil {
			t.Fatal(err)
		}
		for _, role := range []string{deployment.Serve, deployment.Frontend, deployment.Replicator, deployment.Archiver} {
			if (role == deployment.Serve) != (kind == deployment.OneProcess) {
				continue
			}
			f.Kill(role)
			f.Restart(role)
			if code := f.Wait(ctx, role); code != 1 {
				t.Errorf("%s ends with code %d", role, code)
			}
			for _, want := range []string{partitionlog.ErrOlder.Error(), older} {
				if printed := f.Log(role); !strings.Contains(printed, want) {
					t.Errorf("%s does not print %q: %s", role, want, printed)
				}
			}
		}
	})
}
