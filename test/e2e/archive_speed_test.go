package e2e

import (
	"os"
	"testing"
	"time"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/client"
	"laneway.dev/test/deployment"
	"laneway.dev/test/s3server"
	"laneway.dev/test/storeproxy"
)

// TestHistoryIsReadAheadFromARemoteStore reads a history with the Go client from an S3 server that
// takes 100 ms for each request, with nothing in memory. It logs the rate. The long form reads more.
func TestHistoryIsReadAheadFromARemoteStore(t *testing.T) {
	const delay = 100 * time.Millisecond
	total, rounds := 96<<20, 1
	if os.Getenv(longFaults) == "long" {
		total, rounds = 512<<20, 5
	}
	ctx := within(t, 5*time.Minute)
	proxy := storeproxy.Start(t, s3server.Start(t).Address)
	f := start(t, deployment.OneProcess, deployment.Options{
		Store: s3server.Location(proxy.Endpoint(), "history"), Replicator: []string{"--archive-bytes", "64MiB", "--archive-age", "5s"},
	})
	f.fill(ctx, t, total, 16<<10)
	f.awaitLog(ctx, t, f.partition, "it archived", func(s partitionlog.State) bool { return s.History.End.Offset == s.NextOffset })
	for range rounds {
		proxy.Set(storeproxy.Faults{})
		f.forget(ctx)
		proxy.Set(storeproxy.Faults{Delay: delay})
		before, began, bytes := proxy.Requests(), time.Now(), 0
		for r, err := range f.client(t, f.URL()).Consumer(client.ConsumerOptions{Topic: "orders"}).Records(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			bytes += len(r.Value)
		}
		took, requests := time.Since(began), proxy.Requests()-before
		t.Logf("%d bytes in %v with %d requests: %.0f MB/s", bytes, took, requests, float64(bytes)/1e6/took.Seconds())
		if bytes < total*3/4 || took > time.Duration(requests)*delay {
			t.Errorf("%d bytes with %d requests took %v: nothing was read ahead", bytes, requests, took)
		}
	}
}
