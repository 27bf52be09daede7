package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"laneway.dev/internal/fault"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/load"
)

// invertedDelay spreads the delays of uploads, so far that a busy machine sends and
// stages the second batch while the first one is still being uploaded.
const invertedDelay = "stage.delay=uniform(0,4s)"

// inverted returns options with flags of the stager, and a stage timeout that is
// longer than its uploads take.
func inverted(flags []string) deployment.Options {
	return deployment.Options{Stager: flags, Frontend: append([]string{"--stage-timeout", "20s"}, uploadsAll...)}
}

// slowThenQuick returns options with which the first upload takes seconds and the
// second almost nothing. Each batch is an object of its own.
func slowThenQuick(t *testing.T) deployment.Options {
	t.Helper()
	for seed := range int64(10_000) {
		faults, err := fault.Parse([]string{invertedDelay}, seed)
		if err != nil {
			t.Fatal(err)
		}
		first, second := faults.Delay(), faults.Delay()
		if first > 3200*time.Millisecond && second < 200*time.Millisecond {
			return inverted([]string{"--fault", invertedDelay, "--fault-seed", strconv.FormatInt(seed, 10), "--object-batches", "1"})
		}
	}
	t.Fatal("no seed has a slow upload before a quick one")
	return deployment.Options{}
}

// secondStagedFirst sends the first two batches of a new producer, of which the
// second is staged first, and returns what is wrong with what comes of it.
// staged is called when both are.
func secondStagedFirst(ctx context.Context, f *fixture, staged func()) error {
	p, err := load.NewProducer(f.conn, f.partition, "new", 2, time.Minute)
	if err != nil {
		return err
	}
	if err := p.Send(ctx); err != nil {
		return err
	}
	// The uploads draw their delays in the order in which they begin.
	f.AwaitMetric(ctx, deployment.Stager, "laneway_stager_uploads", func(v float64) bool { return v == 1 })
	if err := p.Send(ctx); err != nil {
		return err
	}
	if err := p.Settle(ctx); err != nil {
		return err
	}
	sent := map[string][]load.Batch{p.Name: p.Batches()}
	if acked, _, err := history.AllAnswered(sent); err != nil || acked != 2 {
		return fmt.Errorf("%d of 2 batches are acknowledged: %w", acked, err)
	}
	if _, err := history.Verify(ctx, f.conn, f.partition, sent); err != nil {
		return err
	}
	staged()
	// A frontend shows what it remembers of the payloads. What counts is what is stored.
	f.forget(ctx)
	_, err = history.Verify(ctx, f.conn, f.partition, sent)
	return err
}

func TestNewProducerKeepsOrderWhenSecondIsStagedFirst(t *testing.T) {
	t.Parallel() // it waits most of the time
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, slowThenQuick(t))
		err := secondStagedFirst(ctx, f, func() {
			if early := f.MustMetric(deployment.Sequencer, "laneway_sequencer_stage_early_total"); early != 1 {
				t.Errorf("%v uploads ended out of order, want 1: the test has not tested what it is for", early)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// The same against a stager that hands tickets to whichever upload ends first:
// if nothing is found there, the test above finds nothing either.
func TestOrderIsLostIfTheTicketIsTakenAfterStaging(t *testing.T) {
	mutant := deployment.BuildMutant(t, "ticket_after_staging")
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		options := slowThenQuick(t)
		options.Binary = mutant
		f := start(t, kind, options)
		err := secondStagedFirst(ctx, f, func() {})
		if !errors.Is(err, history.ErrDisorder) {
			t.Errorf("the wrong code is found to do this wrong: %v; want %v", err, history.ErrDisorder)
		}
	})
}
