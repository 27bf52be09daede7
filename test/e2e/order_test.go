package e2e

import (
	"context"
	"testing"
	"time"

	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/load"
)

const (
	producers = 50
	batches   = 200
	inFlight  = 20
)

// slowStaging makes uploads take anything up to 200 ms. Objects are small and
// many: all that a producer sends in one go would else share an object, and
// could not be staged out of order.
func slowStaging(flags ...string) deployment.Options {
	return stager(append([]string{"--object-batches", "8", "--uploads", "64", "--fault", "stage.delay=uniform(0,200ms)"}, flags...)...)
}

// sendAll lets all producers send all their batches.
func sendAll(ctx context.Context, t *testing.T, f *fixture) map[string][]load.Batch {
	t.Helper()
	fleet, err := load.NewFleet(f.conn, load.Config{
		Partition: f.partition, Name: "producer", Producers: producers, InFlight: inFlight, Patience: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if err := fleet.Send(ctx, batches); err != nil {
		t.Fatal(err)
	}
	took(t, started, "%d batches of %d producers, %d in flight each", producers*batches, producers, inFlight)
	if err := fleet.Faults(); err != nil {
		t.Error(err)
	}
	return fleet.Batches()
}

// expectOutOfOrder checks that more than a fifth of the uploads ended before an
// earlier one of their producer.
func (f *fixture) expectOutOfOrder(t *testing.T) {
	t.Helper()
	early := f.MustMetric(deployment.Sequencer, "laneway_sequencer_stage_early_total")
	all := f.MustMetric(deployment.Sequencer, "laneway_sequencer_stage_completions_total")
	t.Logf("%.0f of %.0f uploads, %.1f %%, ended out of order", early, all, 100*early/all)
	if all == 0 || early <= all/5 {
		t.Error("more than a fifth of the uploads should end out of order")
	}
}

func TestOrderIsKeptWhenUploadsEndOutOfOrder(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f := start(t, kind, slowStaging())
		sent := sendAll(ctx, t, f)
		if acked, _, err := history.AllAnswered(sent); err != nil || acked != producers*batches {
			t.Errorf("%d of %d batches are acknowledged: %v", acked, producers*batches, err)
		}
		f.expectOutOfOrder(t)
		if records := f.verify(ctx, t, sent); len(records) != producers*batches {
			t.Errorf("the partition has %d records, %d were sent", len(records), producers*batches)
		}
	})
}

func TestEveryBatchIsAnsweredWhenStagingFails(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f := start(t, kind, slowStaging("--fault", "stage.fail=0.05"))
		sent := sendAll(ctx, t, f)
		acked, refused, err := history.AllAnswered(sent)
		if err != nil {
			t.Error(err)
		}
		t.Logf("%d batches are acknowledged, %d got an error", acked, refused)
		if acked == 0 || refused == 0 {
			t.Error("both should have happened")
		}
		f.expectOutOfOrder(t)
		if records := f.verify(ctx, t, sent); len(records) < acked {
			t.Errorf("the partition has %d records, %d were acknowledged", len(records), acked)
		}
	})
}
