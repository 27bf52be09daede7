package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

// idempotentProducers is how many send while processes are killed.
const idempotentProducers = 50

// publishUntil publishes until stop is closed, and returns how many records are
// in the log when all of them are.
func publishUntil(ctx context.Context, p *client.Producer, name string, stop <-chan struct{}, acked *atomic.Int64) (int, error) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return n, p.Flush(ctx)
		default:
		}
		// Batches of empty records are inline, and the others are uploaded.
		value := load.Pad(load.Value(name, n), n/20%2*archivedBytes)
		future, err := p.Publish(ctx, client.ProducerRecord{Value: []byte(value)})
		if err != nil {
			return n, err
		}
		if n%20 == 19 { // no producer sends without limit
			if _, err := future.Wait(ctx); err != nil {
				return n, err
			}
			acked.Add(20)
		}
	}
}

func TestIdempotentProducersSurviveKills(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		n := rounds(t)
		ctx := within(t, 2*time.Minute+time.Duration(n)*15*time.Second)
		f := start(t, kind, sendsBothKinds)
		var acked atomic.Int64
		var wait sync.WaitGroup
		stop := make(chan struct{})
		records := make([]int, idempotentProducers)
		for i := range idempotentProducers {
			p := producer(ctx, t, f.client(t, f.URL()), client.ProducerOptions{BatchRecords: 7, AttemptTimeout: 2 * time.Second})
			wait.Go(func() {
				var err error
				if records[i], err = publishUntil(ctx, p, fmt.Sprint("producer", i), stop, &acked); err != nil {
					t.Errorf("producer %d sees an error after %d records: %v", i, records[i], err)
				}
			})
		}
		for round := range n {
			f.killUnderLoad(ctx, t, &acked, f.Roles()[round%len(f.Roles())])
		}
		close(stop)
		wait.Wait()
		want := make(map[string]int)
		total := 0
		for i, n := range records {
			want[fmt.Sprint("producer", i)] = n
			total += n
		}
		t.Logf("%d records of %d producers", total, idempotentProducers)
		f.exactly(ctx, t, want)
		f.checkKinds(ctx, t)
	})
}

// killUnderLoad kills processes at a random moment while records are acknowledged,
// and starts them again.
func (f *fixture) killUnderLoad(ctx context.Context, t *testing.T, acked *atomic.Int64, roles ...string) {
	t.Helper()
	before := acked.Load()
	err := deployment.Eventually(ctx, func(context.Context) error {
		if now := acked.Load(); now == before {
			return fmt.Errorf("nothing is acknowledged since the last restart")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	elapse(ctx, time.Duration(rand.Int64N(int64(300*time.Millisecond))))
	for _, role := range roles {
		f.Kill(role)
	}
	for _, role := range roles {
		f.Restart(role)
	}
}
