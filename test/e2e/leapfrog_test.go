package e2e

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"laneway.dev/internal/fault"
	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// In these tests the first batch of a new producer is delayed or lost, and the second one
// reaches the replicator first. Kafka's rule for an unknown producer would accept the second
// batch, and then reject the first one forever (redpanda#30937).

// leapfrog is the story of two batches.
type leapfrog struct {
	*fixture
	t      *testing.T
	p      *client.Producer
	first  client.Future
	second client.Future
}

// frog begins with a producer whose records are batches of their own.
func frog(ctx context.Context, t *testing.T, f *fixture, url string, attempt time.Duration) *leapfrog {
	t.Helper()
	return &leapfrog{fixture: f, t: t, p: producer(ctx, t, f.client(t, url), client.ProducerOptions{
		BatchRecords: 1, AttemptTimeout: attempt,
	})}
}

func (l *leapfrog) send(ctx context.Context, n int) client.Future {
	l.t.Helper()
	future, err := publish(ctx, l.p, "frog", n)
	if err != nil {
		l.t.Fatal(err)
	}
	return future
}

// landed checks that the application sees two successes, and that on the way the
// second batch was refused, and one for another reason if there is to be one.
func (l *leapfrog) landed(ctx context.Context, others ...protocol.Code) {
	l.t.Helper()
	for n, future := range []client.Future{l.first, l.second} {
		if ack, err := future.Wait(ctx); err != nil || ack.Offset != int64(n) {
			l.t.Fatalf("batch %d: %+v, %v", n, ack, err)
		}
	}
	for _, code := range append(others, protocol.CodeOutOfOrderSequence) {
		if l.refusals(ctx, l.t, code) == 0 {
			l.t.Errorf("no batch was refused with %s: the test has not tested what it is for", code.Kind().Name)
		}
	}
	l.exactly(ctx, l.t, map[string]int{"frog": 2})
}

// fates returns options with which the first upload takes seconds, and
// fails if it is to, the second almost nothing, and none of the next ones fails.
func fates(t *testing.T, fails bool) deployment.Options {
	t.Helper()
	specs := []string{invertedDelay}
	if fails {
		specs = append(specs, "stage.fail=0.2")
	}
	const uploads = 12
	for seed := range int64(1_000_000) {
		faults, err := fault.Parse(specs, seed)
		if err != nil {
			t.Fatal(err)
		}
		good := true
		for n := range uploads {
			delay, fail := faults.Delay(), faults.Fail()
			good = good && fail == (fails && n == 0)
			good = good && (n > 0 || delay > 2800*time.Millisecond) && (n != 1 || delay < 200*time.Millisecond)
		}
		if good {
			return inverted([]string{"--object-batches", "1", "--fault", strings.Join(specs, ";"), "--fault-seed", strconv.FormatInt(seed, 10)})
		}
	}
	t.Fatal("no seed does it")
	return deployment.Options{}
}

// uploading waits until the first batch is being uploaded.
func (l *leapfrog) uploading(ctx context.Context) {
	l.t.Helper()
	l.AwaitMetric(ctx, deployment.Stager, "laneway_stager_uploads", func(v float64) bool { return v == 1 })
}

func TestSecondBatchWaitsForUnstageableFirst(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, fates(t, true))
		l := frog(ctx, t, f, f.URL(), 10*time.Second)
		l.first = l.send(ctx, 0)
		l.uploading(ctx)
		l.second = l.send(ctx, 1)
		l.landed(ctx, protocol.CodeFailed)
	})
}

func TestSecondBatchWaitsForFirstRefusedAtAdmission(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{
			Stager:   []string{"--fault", "stage.delay=300ms"},
			Frontend: append([]string{"--max-in-flight-bytes-per-partition", "100KiB"}, uploadsAll...),
		})
		c := f.client(t, f.URL())
		// Whether the second one is sent before the first is refused is up to the
		// schedule, so it is tried with one producer after the other.
		for round := 0; f.refusals(ctx, t, protocol.CodeOutOfOrderSequence) == 0; round++ {
			if err := f.conn.PublishRequest(f.partition.ProduceSubject(), f.conn.NewInbox(), make([]byte, 60<<10)); err != nil {
				t.Fatal(err)
			}
			f.AwaitMetric(ctx, deployment.Frontend, "laneway_frontend_in_flight_bytes", func(v float64) bool { return v > 0 })
			p := producer(ctx, t, c, client.ProducerOptions{BatchRecords: 1})
			var futures []client.Future
			for _, size := range []int{60 << 10, 10} {
				future, err := p.Publish(ctx, client.ProducerRecord{Value: make([]byte, size)})
				if err != nil {
					t.Fatal(err)
				}
				futures = append(futures, future)
			}
			before := int64(-1)
			for n, future := range futures {
				ack, err := future.Wait(ctx)
				if err != nil || ack.Offset <= before {
					t.Fatalf("round %d, batch %d: %+v, %v", round, n, ack, err)
				}
				before = ack.Offset
			}
		}
		if f.refusals(ctx, t, protocol.CodeOverloaded) == 0 {
			t.Error("nothing was refused at admission")
		}
	})
}

func TestSecondBatchWaitsForFirstLostBeforeTicket(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		lossy := loseFirst(t, strings.TrimPrefix(f.URL(), "nats://"), f.partition.ProduceSubject())
		l := frog(ctx, t, f, "nats://"+lossy, time.Second)
		l.first = l.send(ctx, 0)
		l.second = l.send(ctx, 1)
		l.landed(ctx)
	})
}

func TestSecondBatchWaitsForFirstOfCrashedFrontend(t *testing.T) {
	t.Parallel() // it waits most of the time
	ctx := within(t, time.Minute)
	f := start(t, deployment.RoleProcesses, fates(t, false))
	l := frog(ctx, t, f, f.URL(), 15*time.Second)
	l.first = l.send(ctx, 0)
	l.uploading(ctx)
	f.Kill(deployment.Frontend)
	f.Restart(deployment.Frontend)
	f.AwaitReady(ctx)
	l.second = l.send(ctx, 1)
	l.landed(ctx)
}
