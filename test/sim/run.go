package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
)

// Config says what a run is like.
type Config struct {
	Seed        uint64
	Mix         Mix
	Clients     int
	Batches     int // of each client, at least
	ActiveTime  time.Duration
	StagerBytes int64
	Faults      int   // a run with fewer says nothing
	Without     []int // disturbances that are left out, by their numbers
}

// Seeded returns the run of a seed: 4 to 6 producers of at least 50 batches.
func Seeded(seed uint64) Config {
	mixes := uint64(len(Mixes))
	return Config{
		Seed: seed, Mix: Mixes[seed%mixes], Clients: 4 + int(seed/mixes%3), Batches: 50, ActiveTime: activeTime, StagerBytes: 4 << 10,
		Faults: fewest,
	}
}

// errVacuous says that nothing went wrong in a run because there was too little to go
// wrong.
var errVacuous = errors.New("vacuous")

// Result is what came of a run.
type Result struct {
	Violation error // nil if nothing was wrong
	Counts    Counts
}

// Run runs a world to its end, or to the first thing that must never be. trace may
// be nil.
func Run(config Config, trace *Trace) Result {
	w := newWorld(config, trace)
	w.run()
	return Result{w.violation, w.counts}
}

func (w *world) run() {
	defer w.caught()
	ends := w.config.ActiveTime + calmTime + 4*w.config.Mix.Memory
	for w.violation == nil && len(w.agenda.events) > 0 && w.agenda.events[0].at < ends {
		if w.calm && w.finished() && w.forgotten() {
			break
		}
		w.next()
	}
	if w.violation == nil {
		w.checks.end()
	}
	if faults := w.counts.faults(); faults < w.config.Faults {
		w.violated("%w: only %d faults, and %d are wanted", errVacuous, faults, w.config.Faults)
	}
}

func newWorld(config Config, trace *Trace) *world {
	w := &world{
		config: config, rng: rand.New(rand.NewPCG(config.Seed, 1)), now: beginning, trace: trace,
		links: map[link]time.Time{}, cuts: map[link]time.Time{}, snapshots: map[uint64][]byte{},
	}
	w.log = newLog(w)
	first := messages.Position{Sequence: 1}
	w.mark = replicator.FoundMark{Mark: messages.Mark{Owner: "creation", Written: first, Reserved: first}, Revision: 1, Exists: true}
	w.registry.taken = map[uint64]bool{}
	w.registry.lose(0)
	w.store.payloads = map[messages.Extent]batchKey{}
	w.checks = newChecks(w)
	for _, r := range []role{replicatorRole, sequencerRole, stagerRole, stagerRole, frontendRole} {
		w.start(r)
	}
	w.slowLane = -1
	if w.chance(config.Mix.SlowLane) {
		w.slowLane = w.rng.IntN(config.Clients)
		w.counts.SlowLanes++
	}
	for n := range config.Clients {
		c := &client{w: w, number: n, id: int64(n) + 1, records: config.Batches * mostRecords}
		switch n {
		case 0:
			c.plain = true
		case 1:
			c.restarts = true
		case 2, 4:
			c.named = true
			c.record = c.newRecord()
		case 3:
			c.plain, c.repeats = true, true
		}
		if w.chance(0.5) {
			c.start = 1<<31 - 1 - int32(w.rng.IntN(60)) // sequences wrap
		}
		if c.named {
			c.start = 0 // it is told nothing when it is new
		}
		c.key = fmt.Sprint("i:", c.id)
		if c.plain {
			c.key = fmt.Sprint("p:plain-", n)
		}
		w.clients = append(w.clients, c)
		w.after(w.between(0, time.Second), c.begin)
	}
	w.trace.begin(w)
	w.disturbances()
	w.after(config.ActiveTime, w.recover)
	return w
}

// forgotten says whether everything that is to be forgotten may be: some time has
// passed since there was nothing to be done.
func (w *world) forgotten() bool {
	if w.idleSince.IsZero() {
		w.idleSince = w.now
	}
	return w.now.Sub(w.idleSince) >= w.config.Mix.Memory*3/2
}

// finished says whether nothing is left to be done.
func (w *world) finished() bool {
	for _, c := range w.clients {
		if !c.done {
			return false
		}
	}
	for _, p := range w.living(frontendRole) {
		if p.w.now.Before(p.hangs) || p.service.(*frontendService).core.Stats().Outstanding > 0 {
			return false
		}
	}
	for _, p := range w.living(sequencerRole) {
		if p.service.(*sequencerService).core.Stats().Lanes > 0 {
			return false
		}
	}
	for _, p := range w.living(stagerRole) {
		if p.service.(*stagerService).core.Stats().Held > 0 {
			return false
		}
	}
	return true
}
