package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/test/deployment"
	"laneway.dev/test/s3server"
	"laneway.dev/test/storeproxy"
)

// storeFault is a fault of an object store. In the long form of the test it lasts as long as
// the promise says.
type storeFault struct {
	name string
	long time.Duration
	storeproxy.Faults
	counted string // the fault that MUST have befallen a request
}

var storeFaults = []storeFault{
	{"every request is throttled", time.Minute, storeproxy.Faults{Throttle: 1}, "Throttle"},
	{"a third of the requests is throttled", time.Minute, storeproxy.Faults{Throttle: 1.0 / 3}, "Throttle"},
	{"puts take two seconds", time.Minute, storeproxy.Faults{PutDelay: 2 * time.Second}, ""},
	{"connections break in the middle of bodies", time.Minute, storeproxy.Faults{Reset: 0.3}, "Reset"},
	{"bodies are cut short", time.Minute, storeproxy.Faults{Truncate: 0.3}, "Truncate"},
	{"bits flip in transit", time.Minute, storeproxy.Faults{Flip: 0.3}, "Flip"},
	{"answers are lost after the put took effect", time.Minute, storeproxy.Faults{LoseAnswer: 0.3}, "LoseAnswer"},
	{"conditional puts conflict", time.Minute, storeproxy.Faults{Conflict: 0.3}, "Conflict"},
	{"conditional puts fail after they took effect", time.Minute, storeproxy.Faults{Exists: 0.3}, "Exists"},
	{"conditions are ignored", time.Minute, storeproxy.Faults{NoCondition: true}, ""},
	{"the server is gone", 5 * time.Minute, storeproxy.Faults{Down: true}, "Down"},
	{"the credentials are wrong", time.Minute, storeproxy.Faults{Denied: true}, "Denied"},
	{"the clock is off", time.Minute, storeproxy.Faults{Skewed: true}, "Skewed"},
	{"puts are refused and take effect later", time.Minute, storeproxy.Faults{Late: 0.5, LateBy: 3 * time.Second}, "Late"},
}

// longFaults is the variable that selects the long form.
const longFaults = "LANEWAY_TEST_STORE_FAULTS"

// TestFaultsOfTheStoreLoseNothing lets idempotent producers and two consumers run while one
// fault after the other befalls the requests of a Laneway to its S3 server. One consumer follows
// the log, the other one reads it from the store again and again. Producers see no error, no
// consumer ends, and every record is there once and in its place.
func TestFaultsOfTheStoreLoseNothing(t *testing.T) {
	t.Parallel() // it waits most of the time
	const producers = 8
	long := os.Getenv(longFaults) == "long"
	bound := 5 * time.Minute
	if long {
		bound = time.Hour
	}
	ctx, failed := context.WithCancelCause(within(t, bound))
	defer failed(nil)
	proxy := storeproxy.Start(t, s3server.Start(t).Address)
	f := start(t, deployment.OneProcess, deployment.Options{
		Store:    s3server.Location(proxy.Endpoint(), "faults"),
		Frontend: []string{"--cache-bytes", "1"}, // consumers read what is stored
	})

	var acked, consumed, reread atomic.Int64
	var wait sync.WaitGroup
	stop := make(chan struct{})
	want := make([]int, producers)
	for i := range producers {
		p := producer(ctx, t, f.client(t, f.URL()), client.ProducerOptions{DeliveryTimeout: 20 * time.Minute})
		wait.Go(func() {
			var err error
			if want[i], err = publishUntil(ctx, p, fmt.Sprint("producer", i), stop, &acked); err != nil {
				t.Errorf("producer %d sees an error after %d records: %v", i, want[i], err)
			}
		})
	}
	following, leave := context.WithCancel(ctx)
	defer leave()
	var readers sync.WaitGroup
	for name, read := range map[string]func(context.Context, *client.Client) error{
		"that follows":     func(ctx context.Context, c *client.Client) error { return follow(ctx, c, &consumed) },
		"that reads again": func(ctx context.Context, c *client.Client) error { return readAgain(ctx, c, &reread) },
	} {
		c := f.client(t, f.URL())
		readers.Go(func() {
			if err := read(following, c); !errors.Is(err, context.Canceled) {
				t.Errorf("the consumer %s ended with %v", name, err)
				failed(err)
			}
		})
	}

	for _, fault := range storeFaults {
		began, before := time.Now(), proxy.Count(fault.counted)
		proxy.Set(fault.Faults)
		for fault.counted != "" && proxy.Count(fault.counted) == before && ctx.Err() == nil {
			elapse(ctx, 10*time.Millisecond)
		}
		elapse(ctx, map[bool]time.Duration{false: 700 * time.Millisecond, true: fault.long}[long])
		proxy.Set(storeproxy.Faults{})
		progress(ctx, t, fault.name, &acked, &consumed, &reread)
		took(t, began, "%s", fault.name)
	}
	close(stop)
	wait.Wait()
	total, sent := 0, make(map[string]int)
	for i, n := range want {
		sent[fmt.Sprint("producer", i)] = n
		total += n
	}
	err := deployment.Eventually(ctx, func(context.Context) error {
		if n := consumed.Load(); n < int64(total) {
			return fmt.Errorf("the consumer has %d of %d records", n, total)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	leave()
	readers.Wait()
	f.exactly(ctx, t, sent)
}

// follow reads a topic until ctx ends, and checks that no offset is left out or repeated.
func follow(ctx context.Context, c *client.Client, consumed *atomic.Int64) error {
	for r, err := range c.Consumer(client.ConsumerOptions{Topic: "orders", Follow: true}).Records(ctx) {
		if err != nil {
			return err
		}
		if r.Offset != consumed.Load() {
			return fmt.Errorf("got offset %d, want %d", r.Offset, consumed.Load())
		}
		consumed.Add(1)
	}
	return ctx.Err()
}

// readAgain reads a topic from its beginning to its end, over and over until ctx ends. What it
// reads is not in memory any more.
func readAgain(ctx context.Context, c *client.Client, read *atomic.Int64) error {
	for ctx.Err() == nil {
		next := int64(0)
		for r, err := range c.Consumer(client.ConsumerOptions{Topic: "orders"}).Records(ctx) {
			if err != nil {
				return err
			}
			if r.Offset != next {
				return fmt.Errorf("got offset %d, want %d", r.Offset, next)
			}
			next++
			read.Add(1)
		}
	}
	return ctx.Err()
}

// progress waits until records are acknowledged and consumed again after a fault.
func progress(ctx context.Context, t *testing.T, after string, counts ...*atomic.Int64) {
	t.Helper()
	for i, count := range counts {
		before := count.Load()
		err := deployment.Eventually(ctx, func(context.Context) error {
			if count.Load() == before {
				return fmt.Errorf("after the fault %q nothing more is %s", after, []string{"acknowledged", "consumed", "read from the store"}[i])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
