package bench

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestScheduleKeepsItsTimesThroughAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 10 * time.Millisecond
		started := time.Now()
		var due, sent []time.Duration
		err := schedule(t.Context(), every, 6, func(n int64, at time.Time) {
			due, sent = append(due, at.Sub(started)), append(sent, time.Since(started))
			if n == 1 {
				time.Sleep(25 * time.Millisecond) //nolint:forbidigo // virtual time
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		ms := time.Millisecond
		if want := []time.Duration{0, 10 * ms, 20 * ms, 30 * ms, 40 * ms, 50 * ms}; !slices.Equal(due, want) {
			t.Errorf("due at %v, want %v", due, want)
		}
		// The records of 20 and 30 ms follow the stall at once, and the later ones are in time.
		if want := []time.Duration{0, 10 * ms, 35 * ms, 35 * ms, 40 * ms, 50 * ms}; !slices.Equal(sent, want) {
			t.Errorf("sent at %v, want %v", sent, want)
		}
	})
}

func TestScheduleEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("interrupted")
		calls := 0
		err := schedule(ctx, time.Hour, 10, func(int64, time.Time) {
			if calls++; calls == 2 {
				cancel(reason)
			}
		})
		if !errors.Is(err, reason) || calls != 2 {
			t.Errorf("%d calls, error %v", calls, err)
		}
	})
}

func TestTopicsTakeTurnsAndPartitionsAreChosenByChance(t *testing.T) {
	const targets, many = 4, 4000
	hits := func(p Plan) (by [targets]int) {
		for n := range int64(many) {
			by[p.target(n, targets)]++
		}
		return by
	}
	if by := hits(Plan{Topics: targets}); by != [targets]int{many / targets, many / targets, many / targets, many / targets} {
		t.Errorf("topics have %v of %d records", by, many)
	}
	// Each has 1000 with a standard deviation of 27.
	for _, n := range hits(Plan{Partitions: targets}) {
		if n < 800 || n > 1200 {
			t.Errorf("a partition has %d of %d records", n, many)
		}
	}
}
