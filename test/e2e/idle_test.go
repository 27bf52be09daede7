package e2e

import (
	"context"
	"testing"
	"time"

	"laneway.dev/test/deployment"
)

// idleTime is how long after load nothing may be left. It is shorter than the deadline
// of a batch, which would clear away what nothing else does.
const idleTime = 25 * time.Second

func TestAfterLoadAndIdlingNothingIsLeft(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f := start(t, kind, stager("--fault", "stage.delay=uniform(0,20ms)"))
		before := f.goroutines(t)
		sendAll(ctx, t, f)

		idle, cancel := context.WithTimeout(ctx, idleTime)
		defer cancel()
		for service, names := range map[string][]string{
			deployment.Sequencer: {"laneway_sequencer_lanes", "laneway_sequencer_waiting"},
			deployment.Frontend: {
				"laneway_frontend_tickets_outstanding", "laneway_frontend_in_flight_bytes", "laneway_frontend_fetches",
			},
			deployment.Stager: {"laneway_stager_uploads", "laneway_stager_waiting", "laneway_stager_memory_bytes"},
		} {
			for _, name := range names {
				f.AwaitMetric(idle, service, name, func(v float64) bool { return v == 0 })
			}
		}
		for service, n := range before {
			// The runtime and the pages come and go with a few of their own.
			const few = 5
			f.AwaitMetric(idle, service, "go_goroutines", func(v float64) bool { return v <= n+few })
		}
	})
}

// goroutines returns how many goroutines each process has.
func (f *fixture) goroutines(t *testing.T) map[string]float64 {
	t.Helper()
	n := make(map[string]float64)
	for _, service := range []string{deployment.Frontend, deployment.Stager, deployment.Sequencer, deployment.Replicator, deployment.Archiver} {
		n[service] = f.MustMetric(service, "go_goroutines")
	}
	return n
}
