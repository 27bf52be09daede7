package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
	"laneway.dev/test/s3server"
	"laneway.dev/test/storeproxy"
)

// TestMemoryStaysWithinItsBudgetWhileTheStoreStalls floods the frontend while the store takes
// requests and does not answer.
func TestMemoryStaysWithinItsBudgetWhileTheStoreStalls(t *testing.T) {
	duration, deadline := 2*time.Second, "5s"
	if os.Getenv(longFaults) == "long" {
		duration, deadline = 5*time.Minute, "30s"
	}
	ctx := within(t, duration+5*time.Minute)
	proxy := storeproxy.Start(t, s3server.Start(t).Address)
	f := start(t, deployment.RoleProcesses, deployment.Options{
		Store:    s3server.Location(proxy.Endpoint(), "stalled"),
		Frontend: []string{"--deadline", deadline},
	})
	proxy.Set(storeproxy.Faults{Delay: time.Hour})
	flood := load.Flood{Subject: f.partition.ProduceSubject(), Connections: 8, Bytes: 64 << 10, Duration: duration}
	count, err := flood.Run(ctx, f.flooding, func() (int, error) { return f.lost(ctx) })
	proxy.Set(storeproxy.Faults{})
	t.Log(count)
	if err != nil {
		t.Error(err)
	}
	for _, fault := range count.Faults {
		t.Error(fault)
	}
	if count.Refused == 0 {
		t.Error("no request was refused, so the flood was not the full load")
	}
	f.takesRequestsAgain(ctx, t)
	for role, budget := range map[string]int64{deployment.Stager: stagerBudget, deployment.Frontend: frontendBudget} {
		held := f.PeakMemory(role)
		t.Logf("%s held at most %d MiB, its budget is %d MiB", role, held>>20, budget>>20)
		if held > budget+256<<20 {
			t.Errorf("%s held %d bytes, more than its budget and 256 MiB", role, held)
		}
	}
}

// TestIdleStoreGetsNoRequests watches the requests to the store while a consumer follows a log
// to which nothing is appended.
func TestIdleStoreGetsNoRequests(t *testing.T) {
	t.Parallel() // it waits most of the time
	const watched = 3 * time.Second
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		proxy := storeproxy.Start(t, s3server.Start(t).Address)
		f := start(t, kind, deployment.Options{
			Store:    s3server.Location(proxy.Endpoint(), "idle"),
			Frontend: []string{"--cache-bytes", "1"},     // what is read comes from the store
			Archiver: []string{"--sweep-interval", "0s"}, // sweeps list the store
		})
		sendAll(ctx, t, f)
		following, leave := context.WithCancel(ctx)
		defer leave()
		ended, read := make(chan error, 1), make(chan struct{})
		c := f.client(t, f.URL())
		go func() {
			n := 0
			var err error
			for _, err = range c.Consumer(client.ConsumerOptions{Topic: "orders", Follow: true}).Records(following) {
				if n++; n == producers*batches {
					close(read)
				}
			}
			ended <- err
		}()
		select {
		case <-read:
		case err := <-ended:
			t.Fatalf("the consumer has ended: %v", err)
		}
		before := proxy.Requests()
		elapse(ctx, watched)
		if n := proxy.Requests() - before; n > 0 {
			t.Errorf("%d requests in %v without load", n, watched)
		}
		select {
		case err := <-ended:
			t.Errorf("the consumer has ended: %v", err)
		default:
		}
	})
}

// TestThroughputOfARemoteStore compares a store with the local one, as users can. The long form
// measures a store that is far away, too: reading everything back from it takes a while.
func TestThroughputOfARemoteStore(t *testing.T) {
	long := os.Getenv(longFaults) == "long"
	rounds, duration := "1", "300ms"
	if long {
		rounds, duration = "3", "12s" // batches grow for some 3 s
	}
	for name, c := range map[string]struct {
		delay time.Duration
		flags []string
		bar   float64 // of the ratio to the local store
	}{
		"a server nearby":                      {0, nil, 0.6},
		"100 ms away, batches may grow":        {100 * time.Millisecond, []string{"--max-batch-bytes", "4MiB"}, 0.5},
		"100 ms away, batches keep their size": {100 * time.Millisecond, nil, 0.2},
	} {
		if c.delay > 0 && !long {
			continue
		}
		t.Run(name, func(t *testing.T) {
			proxy := storeproxy.Start(t, s3server.Start(t).Address)
			proxy.Set(storeproxy.Faults{Delay: c.delay})
			flags := slices.Concat([]string{
				"produce", "--store", s3server.Location(proxy.Endpoint(), "bench"), "--rounds", rounds, "--duration", duration, "--bytes", "64GiB", "--json",
			}, c.flags)
			b := newBenchmark(within(t, 10*time.Minute), t, flags...)
			b.Env = append(os.Environ(), s3server.Environ()...)
			r := b.report(t)
			if len(r.Ratios) != 1 {
				t.Fatalf("%+v", r)
			}
			t.Log(ratios(r))
			// A busy machine may take ten times as long.
			if ratio := r.Ratios[0].Ratio; ratio < c.bar/10 {
				t.Errorf("%.2f of the local store, want %.2f", ratio, c.bar)
			}
		})
	}
}

func ratios(r benchReport) (text string) {
	for _, c := range r.Contenders {
		text += fmt.Sprintf("%s: %.0f %s; ", c.Name, c.Median, r.Unit)
	}
	for _, ratio := range r.Ratios {
		text += fmt.Sprintf("%.2f× against %s", ratio.Ratio, ratio.Against)
	}
	return text
}
