package exhaustive_test

import (
	"flag"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"laneway.dev/internal/sim/exhaustive"
)

// scopes returns those of a form. Each role is disturbed, alone and together with what
// a network loses, doubles and delays.
func scopes(long bool) []exhaustive.Scope {
	mixed := []exhaustive.Lane{{Batches: 2, Idempotent: true}, {Batches: 1}}
	plain := []exhaustive.Lane{{Batches: 2}, {Batches: 1, Idempotent: true}}
	small := []exhaustive.Lane{{Batches: 1, Idempotent: true}, {Batches: 1}}
	pair := []exhaustive.Lane{{Batches: 2, Idempotent: true}}
	three := []exhaustive.Lane{{Batches: 3}}
	all := []exhaustive.Scope{
		{Lanes: plain, Sends: 3, Lose: 1},
		{Lanes: mixed, Sends: 3},
		{Lanes: three, Sends: 3, Lose: 1},
		{Lanes: pair, Sends: 4, Lose: 1, Double: 1},
		{Lanes: small, Sends: 2, Victim: exhaustive.Sequencer, Lose: 1},
		{Lanes: pair, Sends: 2, Victim: exhaustive.Replicator},
		{Lanes: pair, Sends: 3, Victim: exhaustive.Frontend, Zombie: true},
		{Lanes: pair, Sends: 2, Victim: exhaustive.Sequencer, Zombie: true},
		{Lanes: pair, Sends: 2, Victim: exhaustive.Frontend, Double: 1},
	}
	if !long {
		return all
	}
	roles := []exhaustive.Role{exhaustive.Replicator, exhaustive.Frontend, exhaustive.Sequencer}
	all = append(all, exhaustive.Scope{Lanes: mixed, Sends: 3, Lose: 1, Double: 1}) // the largest first
	for _, r := range roles {
		all = append(all, exhaustive.Scope{Lanes: pair, Victim: r, Sends: 2, Lose: 1, Double: 1})
	}
	for _, r := range roles {
		all = append(all,
			exhaustive.Scope{Lanes: mixed, Victim: r, Sends: 3},
			exhaustive.Scope{Lanes: pair, Victim: r, Sends: 3, Double: 1},
			exhaustive.Scope{Lanes: small, Victim: r, Sends: 2, Lose: 1},
			exhaustive.Scope{Lanes: small, Victim: r, Sends: 2, Double: 1},
			exhaustive.Scope{Lanes: small, Victim: r, Zombie: true, Sends: 2},
		)
	}
	return append(all,
		exhaustive.Scope{Lanes: pair, Sends: 2, Victim: exhaustive.Replicator, Zombie: true},
		exhaustive.Scope{Lanes: three, Sends: 3, Lose: 1, Double: 1},
		exhaustive.Scope{Lanes: three, Sends: 3, Double: 1, Beats: 1, Deadline: 1},
		exhaustive.Scope{Lanes: mixed, Sends: 3, Beats: 1, Deadline: 1},
		exhaustive.Scope{Lanes: mixed, Sends: 3, Late: 1},
		exhaustive.Scope{Lanes: pair, Sends: 3, Lose: 1, Beats: 1},
	)
}

// everythingAtOnce returns the scopes in which one process crashes, one message is lost
// and one comes twice, all in the same run.
func everythingAtOnce() []exhaustive.Scope {
	var all []exhaustive.Scope
	for _, r := range []exhaustive.Role{exhaustive.Sequencer, exhaustive.Replicator, exhaustive.Frontend} {
		all = append(all, exhaustive.Scope{
			Lanes:  []exhaustive.Lane{{Batches: 2, Idempotent: true}, {Batches: 1}},
			Victim: r, Sends: 3, Lose: 1, Double: 1,
		})
	}
	return all
}

var (
	long  = flag.Bool("long", false, "explore all scopes, which takes minutes")
	only  = flag.String("scope", "", "explore only the scopes with this in their names")
	full  = flag.Bool("full", false, "explore every fault at once with three tickets, which takes hours; see -limit")
	limit = flag.Int("limit", 0, "look at so many states of a scope at most; 0 is all")
)

func TestEveryScheduleOfASmallScope(t *testing.T) {
	all := scopes(*long || *only != "")
	if *full {
		all = everythingAtOnce()
	}
	all = slices.DeleteFunc(all, func(s exhaustive.Scope) bool { return !strings.Contains(s.String(), *only) })
	explore(t, all)
}

// explore explores scopes, two at a time, and prints how many states they have.
func explore(t *testing.T, all []exhaustive.Scope) {
	old := debug.SetGCPercent(400) // worlds are thrown away by the thousand
	defer debug.SetGCPercent(old)
	begun := time.Now()
	results := make([]exhaustive.Result, len(all))
	var group sync.WaitGroup
	next := make(chan int)
	for range 2 {
		group.Go(func() {
			for i := range next {
				since := time.Now()
				results[i] = exhaustive.Explore(all[i], *limit)
				t.Logf("%s: %d states, %d ends, %d steps, %d branches, cut %t, in %s",
					all[i], results[i].States, results[i].Ends, results[i].Steps, results[i].Branches, results[i].Cut, time.Since(since).Round(time.Millisecond))
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	group.Wait()
	states := 0
	for i, r := range results {
		states += r.States
		if r.Violation != nil {
			t.Errorf("%s: %v\n%s", all[i], r.Violation, strings.Join(r.Schedule, "\n"))
		}
	}
	t.Logf("%d distinct states in %d scopes, in %s", states, len(all), time.Since(begun).Round(time.Millisecond))
}
