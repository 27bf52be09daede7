package e2e

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

const (
	newProducers = 1000
	coldBatches  = 10 // of each
)

// coldStart lets a thousand new producers send at once, each with 5 batches in
// flight, until patience ends, and returns how many got all their acknowledgements.
func coldStart(ctx, patience context.Context, t *testing.T, f *fixture) (complete int) {
	t.Helper()
	const connections = 8
	clients := make([]*client.Client, connections)
	for i := range clients {
		clients[i] = f.client(t, f.URL())
	}
	all := make([]*client.Producer, newProducers)
	for i := range all {
		all[i] = producer(ctx, t, clients[i%connections], client.ProducerOptions{BatchRecords: 1})
	}
	var done atomic.Int64
	var wait sync.WaitGroup
	for i, p := range all {
		wait.Go(func() {
			for n := range coldBatches {
				if _, err := publish(patience, p, fmt.Sprint("producer", i), n); err != nil {
					return
				}
			}
			if p.Flush(patience) == nil {
				done.Add(1)
			}
		})
	}
	wait.Wait()
	return int(done.Load())
}

func TestColdStartHasNoSequenceOutOfOrder(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f := start(t, kind, slowStaging())
		started := time.Now()
		if complete := coldStart(ctx, ctx, t, f); complete != newProducers {
			t.Errorf("%d of %d producers got all their acknowledgements", complete, newProducers)
		}
		took(t, started, "%d batches of %d new producers, 5 in flight each", newProducers*coldBatches, newProducers)
		n := f.refusals(ctx, t, protocol.CodeOutOfOrderSequence) + f.refusals(ctx, t, protocol.CodeOutOfOrderFinal)
		t.Logf("OUT_OF_ORDER_SEQUENCE_NUMBER: %.0f times", n)
		if n != 0 {
			t.Error("should never be")
		}
		if early := f.MustMetric(deployment.Sequencer, "laneway_sequencer_stage_early_total"); early < newProducers/2 {
			t.Errorf("%v uploads ended out of order: the test has not tested what it is for", early)
		}
		want := make(map[string]int)
		for i := range newProducers {
			want[fmt.Sprint("producer", i)] = coldBatches
		}
		f.exactly(ctx, t, want)
	})
}

// The same against a stager that hands tickets to whichever upload ends first.
func TestColdStartIsOutOfOrderIfTicketFollowsStaging(t *testing.T) {
	t.Parallel() // it measures no time and no memory
	options := slowStaging()
	options.Binary = deployment.BuildMutant(t, "ticket_after_staging")
	ctx := within(t, 2*time.Minute)
	f := start(t, deployment.OneProcess, options)
	const many = 100
	patience, enough := context.WithCancel(ctx) // it never gets well
	watched := make(chan error, 1)
	go func() {
		defer enough()
		watched <- deployment.Eventually(patience, func(ctx context.Context) error {
			n, err := f.refused(ctx, protocol.CodeOutOfOrderSequence)
			if err == nil && n < many {
				err = fmt.Errorf("%.0f times", n)
			}
			return err
		})
	}()
	complete := coldStart(ctx, patience, t, f)
	enough()
	err := <-watched
	n := f.refusals(t.Context(), t, protocol.CodeOutOfOrderSequence)
	t.Logf("OUT_OF_ORDER_SEQUENCE_NUMBER: %.0f times; %d of %d producers got all their acknowledgements", n, complete, newProducers)
	if n < many {
		t.Errorf("should be many: %v", err)
	}
	f.Kill(deployment.Serve) // what it still uploads is of no interest
}
