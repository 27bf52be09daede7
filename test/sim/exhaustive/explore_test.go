package exhaustive_test

import (
	"flag"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"laneway.dev/test/sim/exhaustive"
	"laneway.dev/test/sim/world"
)

// Lanes of scopes.
var (
	mixed = []exhaustive.Lane{{Batches: 2, Idempotent: true}, {Batches: 1}}
	plain = []exhaustive.Lane{{Batches: 2}, {Batches: 1, Idempotent: true}}
	small = []exhaustive.Lane{{Batches: 1, Idempotent: true}, {Batches: 1}}
	pair  = []exhaustive.Lane{{Batches: 2, Idempotent: true}}
	one   = []exhaustive.Lane{{Batches: 1, Idempotent: true}}
	three = []exhaustive.Lane{{Batches: 3}}

	roles = []world.Role{world.Replicator, world.Frontend, world.Sequencer}
)

// shortScopes take seconds. Each role is disturbed, alone and together with what a
// network loses and doubles.
func shortScopes() []exhaustive.Scope {
	return []exhaustive.Scope{
		{Lanes: pair, Sends: 2, Victim: world.Frontend, Lose: 1, Double: 1},
		{Lanes: plain, Sends: 3, Lose: 1},
		{Lanes: mixed, Sends: 3},
		{Lanes: three, Sends: 3, Lose: 1},
		{Lanes: pair, Sends: 4, Lose: 1, Double: 1},
		{Lanes: small, Sends: 2, Victim: world.Sequencer, Lose: 1},
		{Lanes: pair, Sends: 2, Victim: world.Replicator},
		{Lanes: pair, Sends: 3, Victim: world.Frontend, Zombie: true},
		{Lanes: pair, Sends: 2, Victim: world.Sequencer, Zombie: true},
		{Lanes: one, Sends: 1, Victim: world.Replicator, Lose: 1, Double: 1, Archive: true},
		{Lanes: one, Sends: 1, Victim: world.Replicator, Zombie: true, Double: 1, Archive: true},
	}
}

// longScopes take minutes, the longest first. In those of three tickets in two lanes one
// process crashes, one message is lost and one comes twice, all in the same run.
func longScopes() []exhaustive.Scope {
	var all []exhaustive.Scope
	for _, r := range roles {
		all = append(all,
			exhaustive.Scope{Lanes: mixed, Victim: r, Sends: 3, Lose: 1, Double: 1},
			exhaustive.Scope{Lanes: plain, Victim: r, Sends: 3, Lose: 1, Double: 1},
			exhaustive.Scope{Lanes: mixed, Victim: r, Zombie: true, Sends: 3},
		)
	}
	for _, r := range roles {
		all = append(all,
			exhaustive.Scope{Lanes: pair, Victim: r, Sends: 2, Lose: 1, Double: 1},
			exhaustive.Scope{Lanes: pair, Victim: r, Sends: 3, Double: 1},
			exhaustive.Scope{Lanes: pair, Victim: r, Zombie: true, Sends: 2, Lose: 1, Double: 1},
			exhaustive.Scope{Lanes: small, Victim: r, Sends: 2, Lose: 1, Double: 1},
			exhaustive.Scope{Lanes: small, Victim: r, Zombie: true, Sends: 2},
		)
	}
	return append(all,
		exhaustive.Scope{Lanes: plain, Sends: 3, Lose: 1},
		exhaustive.Scope{Lanes: pair, Sends: 4, Lose: 1, Double: 1},
		exhaustive.Scope{Lanes: pair, Victim: world.Frontend, Sends: 3, Zombie: true},
		exhaustive.Scope{Lanes: three, Sends: 3, Lose: 1, Double: 1},
		exhaustive.Scope{Lanes: three, Sends: 3, Double: 1, Beats: 1, Deadline: 1},
		exhaustive.Scope{Lanes: mixed, Sends: 3, Beats: 1, Deadline: 1},
		exhaustive.Scope{Lanes: mixed, Sends: 3, Late: 1},
		exhaustive.Scope{Lanes: pair, Sends: 3, Lose: 1, Beats: 1},
		exhaustive.Scope{Lanes: pair, Sends: 2, Victim: world.Replicator, Lose: 1, Archive: true},
		exhaustive.Scope{Lanes: one, Sends: 1, Victim: world.Replicator, Zombie: true, Late: 1, Archive: true},
	)
}

var (
	long  = flag.Bool("long", false, "explore the long scopes, which takes minutes")
	only  = flag.String("scope", "", "explore only the scopes with this in their names")
	limit = flag.Int("limit", 0, "look at so many states of a scope at most; 0 is all")
)

func TestEveryScheduleOfASmallScope(t *testing.T) {
	switch {
	case *only != "":
		explore(t, named(t, *only))
	case *long:
		explore(t, longScopes())
	default:
		explore(t, shortScopes())
	}
}

// named returns the scopes with a text in their names, each once.
func named(t *testing.T, text string) []exhaustive.Scope {
	t.Helper()
	var found []exhaustive.Scope
	known := map[string]bool{}
	for _, s := range append(longScopes(), shortScopes()...) {
		if name := s.String(); !known[name] {
			known[name] = true
			if strings.Contains(name, text) {
				found = append(found, s)
			}
		}
	}
	if len(found) == 0 {
		t.Fatalf("no scope has %q in its name; there are\n%s", text, strings.Join(slices.Sorted(maps.Keys(known)), "\n"))
	}
	return found
}

// explore explores scopes, two at a time, and prints how many states they have.
func explore(t *testing.T, all []exhaustive.Scope) {
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
	var shortest []string
	for i, r := range results {
		states += r.States
		if r.Violation != nil {
			t.Errorf("%s: %v\nto see it alone: go test -tags assertions ./test/sim/exhaustive -args -scope '%s'", all[i], r.Violation, all[i])
			if shortest == nil || len(r.Schedule) < len(shortest) {
				shortest = r.Schedule
			}
		}
	}
	if shortest != nil {
		t.Errorf("the shortest schedule of these:\n%s", strings.Join(shortest, "\n"))
	}
	t.Logf("%d distinct states in %d scopes, in %s", states, len(all), time.Since(begun).Round(time.Millisecond))
}
