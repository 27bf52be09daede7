package exhaustive

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"laneway.dev/test/sim/world"
)

// walked are scopes with everything that can happen.
var walked = []Scope{
	{Lanes: []Lane{{Batches: 2, Idempotent: true}, {Batches: 1}}, Victim: world.Sequencer, Sends: 3, Lose: 1, Double: 1},
	{Lanes: []Lane{{Batches: 2}, {Batches: 1, Idempotent: true}}, Victim: world.Replicator, Sends: 3, Lose: 1, Double: 1},
	{Lanes: []Lane{{Batches: 2, Idempotent: true}}, Victim: world.Frontend, Zombie: true, Sends: 3, Lose: 1, Late: 1},
	{Lanes: []Lane{{Batches: 1, Idempotent: true}}, Sends: 2, Double: 1, Late: 1, Beats: 1, Deadline: 1},
}

// walk takes choices at random until nothing is left to choose, or for some time.
func walk(w *schedule, random *rand.Rand, look func()) {
	for range 60 {
		look()
		all, _ := w.choices(nil)
		if len(all) == 0 {
			return
		}
		w.do(all[random.IntN(len(all))])
	}
}

// TestNameTellsAllThatAWorldHolds compares the name of a world with what the walker
// makes of it, which leaves out only ignored fields.
func TestNameTellsAllThatAWorldHolds(t *testing.T) {
	for _, s := range walked {
		m := newMemo(false)
		names, walks := map[fingerprint]fingerprint{}, map[fingerprint]fingerprint{}
		for seed := range uint64(100) {
			w := newSchedule(m, &s, nil)
			walk(w, rand.New(rand.NewPCG(seed, 0)), func() {
				name, walk := sum(w.name(nil)), m.walker.of(reflect.ValueOf(w.tidy()).Elem())
				if n, known := names[walk]; known && n != name {
					t.Fatalf("%s: one world has two names", s)
				}
				if n, known := walks[name]; known && n != walk {
					t.Fatalf("%s: two worlds have one name", s)
				}
				names[walk], walks[name] = name, walk
			})
		}
	}
}

// tidy returns a world in which what is empty is nil. To a world that is the same.
func (w *schedule) tidy() *schedule {
	c := &schedule{}
	c.become(w)
	c.queues, c.uploads, c.late = nilIfEmpty(c.queues), nilIfEmpty(c.uploads), nilIfEmpty(c.late)
	return c
}

func nilIfEmpty[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

// TestWhatIsRememberedIsWhatCoresDo takes the same schedules with cores that run, and
// with what was remembered of all schedules before.
func TestWhatIsRememberedIsWhatCoresDo(t *testing.T) {
	for _, s := range walked {
		old := newMemo(false)
		run := func(m *memo, seed uint64) (lines []string) {
			w := newSchedule(m, &s, &lines)
			walk(w, rand.New(rand.NewPCG(seed, 0)), func() {})
			w.resolve(nil)
			return lines
		}
		for seed := range uint64(100) {
			run(old, seed)
		}
		for seed := range uint64(100) {
			before := old.branches
			remembered, again := run(old, seed), run(newMemo(false), seed)
			if old.branches != before {
				t.Fatalf("%s, seed %d: a core ran in a schedule that was known", s, seed)
			}
			if !slices.Equal(remembered, again) {
				t.Fatalf("%s, seed %d: what is remembered is not what cores do", s, seed)
			}
		}
	}
}
