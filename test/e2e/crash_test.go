package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

const (
	// kills is how often processes are killed. The variable LANEWAY_TEST_KILLS
	// sets another number, for a longer search.
	kills = 10
	// recovery is how long after a restart publishing may take to work again, if the
	// machine has nothing else to do: an instance that was killed counts as gone after 4 to 5 s.
	recovery = 8 * time.Second
	// patience is how long a producer waits for an answer in these tests before
	// it sends the next batch: that of a killed process never comes.
	patience = 100 * time.Millisecond
)

func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("LANEWAY_TEST_KILLS")
	if text == "" {
		return kills
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("LANEWAY_TEST_KILLS: %v", err)
	}
	return n
}

func TestKillsLoseNothingAcknowledged(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		n := rounds(t)
		ctx := within(t, time.Minute+time.Duration(n)*10*time.Second)
		f := start(t, kind, sendsBothKinds)
		fleet, err := load.NewFleet(f.conn, load.Config{
			Partition: f.partition, Name: "producer", Producers: 8, InFlight: 10, Patience: patience, Bytes: bothKinds,
		})
		if err != nil {
			t.Fatal(err)
		}
		stop, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- fleet.SendUntil(ctx, stop) }()
		probes := f.killInTurn(ctx, t, n)
		close(stop)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if err := fleet.Faults(); err != nil {
			t.Error(err)
		}
		// What is unresolved may still come into the log.
		f.AwaitMetric(ctx, deployment.Frontend, "laneway_frontend_tickets_outstanding", func(v float64) bool { return v == 0 })
		sent := fleet.Batches()
		maps.Copy(sent, probes)
		records := f.verify(ctx, t, sent)
		count(t, len(records), sent)
		f.checkKinds(ctx, t)
	})
}

// killInTurn kills the processes of the roles, one after the other at random
// moments, starts each again, and returns what was sent to see whether
// publishing works again.
func (f *fixture) killInTurn(ctx context.Context, t *testing.T, n int) map[string][]load.Batch {
	t.Helper()
	probes := make(map[string][]load.Batch)
	roles, fastest := f.Roles(), make(map[string]time.Duration)
	for round := range n {
		elapse(ctx, 100*time.Millisecond+time.Duration(rand.Int64N(int64(500*time.Millisecond))))
		role := roles[round%len(roles)]
		f.Kill(role)
		restarted := time.Now()
		f.Restart(role)
		probe, err := untilAcknowledged(ctx, f, fmt.Sprint("probe", round))
		again := time.Since(restarted)
		t.Logf("%s was killed: publishing worked again after %s", role, again.Round(time.Millisecond))
		if err != nil {
			t.Fatalf("publishing does not work again after the restart of %s: %v", role, err)
		}
		if best, known := fastest[role]; !known || again < best {
			fastest[role] = again
		}
		probes[probe.Name] = probe.Batches()
	}
	for role, best := range fastest {
		if best > recovery {
			t.Errorf("publishing never worked again within %s of a restart of %s", recovery, role)
		}
	}
	return probes
}

// elapse lets load continue for a while.
func elapse(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// untilAcknowledged sends one batch after the other until one is acknowledged.
func untilAcknowledged(ctx context.Context, f *fixture, name string) (*load.Producer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	probe, err := load.NewProducer(f.conn, f.partition, name, 1, 200*time.Millisecond)
	if err != nil {
		return nil, err
	}
	return probe, deployment.Eventually(ctx, func(ctx context.Context) error {
		if err := errors.Join(probe.Send(ctx), probe.Settle(ctx)); err != nil {
			return err
		}
		for _, b := range probe.Batches() {
			if b.Ack != nil {
				return nil
			}
		}
		return errors.New("nothing is acknowledged yet")
	})
}

// count says how much was sent and what became of it.
func count(t *testing.T, records int, sent map[string][]load.Batch) {
	t.Helper()
	total, acked, refused, lost := 0, 0, 0, 0
	for _, batches := range sent {
		for _, b := range batches {
			total++
			switch {
			case b.Ack != nil:
				acked++
			case b.Error != nil:
				refused++
			case b.Lost:
				lost++
			}
		}
	}
	t.Logf("%d batches sent, %d acknowledged, %d with an error, %d that no service took, %d without an answer; %d are in the log",
		total, acked, refused, lost, total-acked-refused-lost, records)
	if acked == 0 {
		t.Error("nothing was acknowledged")
	}
}
