package ticketing_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestInvariantsHoldUnderFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		percent := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
		c := chances{
			drop: percent("drop", 40), duplicate: percent("duplicate", 100),
			cancel: percent("cancel", 60), forget: percent("forget", 30),
			delay: time.Duration(rapid.SampledFrom([]int{1, 20, 200, 2000}).Draw(t, "delay")) * time.Millisecond,
		}
		lanes := []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(t, "lanes")]
		batches := rapid.IntRange(1, 12).Draw(t, "batches")
		// Steps are not drawn from rapid: it could not shrink that much data.
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		newWorld(t, c, random.IntN).run(lanes, batches)
	})
}

func TestInvariantsHoldInAnyShortSchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := 0
		draw := func(n int) int {
			// Faults must end at some point, or the run would never end.
			if drawn++; drawn > 400 {
				return n - 1
			}
			return rapid.IntRange(0, n-1).Draw(t, "choice")
		}
		c := chances{drop: 25, duplicate: 25, cancel: 25, forget: 10, delay: 50 * time.Millisecond}
		newWorld(t, c, draw).run([]string{"a", "b"}, 4)
	})
}

func TestLongRunsCompleteInOrder(t *testing.T) {
	for name, c := range map[string]chances{
		"delays":               {delay: 200 * time.Millisecond},
		"delays and drops":     {delay: 200 * time.Millisecond, drop: 10},
		"delays and cancels":   {delay: 200 * time.Millisecond, cancel: 20},
		"all of it":            {delay: 200 * time.Millisecond, drop: 10, duplicate: 30, cancel: 20},
		"with forgotten lanes": {delay: 200 * time.Millisecond, drop: 10, duplicate: 30, cancel: 20, forget: 5},
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				w := newWorld(t, c, rand.New(rand.NewPCG(seed, 1)).IntN)
				w.run([]string{"a", "b", "c"}, 500)
				if w.early < 500 {
					t.Errorf("%d results waited: the delays change the order too little", w.early)
				}
			})
		}
	}
}

func TestWithoutFaultsNothingIsRepeated(t *testing.T) {
	// Outcomes return within a heartbeat, so nothing needs repair.
	w := newWorld(t, chances{delay: 40 * time.Millisecond}, rand.New(rand.NewPCG(1, 2)).IntN)
	w.run([]string{"a", "b", "c"}, 200)
	if w.stagings != 3*200 || w.repeats != 0 {
		t.Errorf("%d stagings and %d repeated releases, want 600 and none", w.stagings, w.repeats)
	}
	for lane, l := range w.log {
		if len(l.orders) != 200 {
			t.Errorf("lane %s: %d batches are in the log, want 200", lane, len(l.orders))
		}
	}
}
