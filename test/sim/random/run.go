package random

import (
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"laneway.dev/pkg/messages"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// Times of a run. Except for the heartbeat, they are shorter than in production, so
// that a run of seconds covers what takes minutes there.
const (
	heartbeat      = 200 * time.Millisecond
	stageTimeout   = 800 * time.Millisecond
	deadline       = 4 * time.Second
	laneExpiry     = 5 * time.Second
	rest           = 25 * heartbeat // how rarely a replicator at rest looks for what has expired
	appendTimeout  = time.Second
	attemptTimeout = 1500 * time.Millisecond
	// activeTime is the time during which faults happen, and calmTime the time within
	// which everything must resolve after that.
	activeTime = 12 * time.Second
	calmTime   = 60 * time.Second
)

// Config says what a run is like.
type Config struct {
	Seed        uint64
	Mix         Mix
	Partitions  int  // 0 is 1
	Logs        int  // over which the partitions are spread; 0 is 1
	Late        bool // the last of several partitions is created during the run
	Delete      bool // of at least three, the last but one is deleted during the run, and the last one is created after that under its name
	Busy        bool // what arrives at a process within a while is handled in one turn
	Parcels     bool // messages of one turn to one subject travel together
	Clients     int  // in all
	Batches     int  // of each client, at least
	ActiveTime  time.Duration
	StagerBytes int64
	Inline      int64 // largest batch that may travel in the log, in bytes; 0 is none
	Faults      int   // a run with fewer is vacuous
	Without     []int // disturbances that are left out, by their numbers
}

// inlines are the sizes up to which batches travel in the log: none, those of a single record, and
// all of them.
var inlines = [...]int64{0, int64(len(check.Batch{Records: 1}.Payload())), 1 << 10}

// layouts are the numbers of partitions, and of the logs over which they are spread. Most runs have few
// partitions, because producers that share one meet more often.
var layouts = [...]struct{ partitions, logs int }{{1, 1}, {2, 1}, {3, 2}, {1, 1}, {2, 1}, {2, 2}, {1, 1}, {3, 1}}

// Seeded returns the run of a seed: 4 to 6 producers of at least 50 batches, on 1 to 3 partitions.
// Messages travel in parcels, unless the server has so low a max_payload that each travels by itself.
func Seeded(seed uint64) Config {
	mixes := uint64(len(Mixes))
	round := seed / mixes
	layout := layouts[round%uint64(len(layouts))]
	return Config{
		Seed: seed, Mix: Mixes[seed%mixes], Partitions: layout.partitions, Logs: layout.logs, Late: layout.partitions > 1 && round%7 < 3, Delete: layout.partitions > 2 && round%11 < 7, Busy: round%2 > 0, Parcels: round%5 > 0,
		Clients: 4 + int(round%3), Batches: 50, ActiveTime: activeTime, StagerBytes: 4 << 10,
		Inline: inlines[round%uint64(len(inlines))], Faults: fewest,
	}
}

// errVacuous means that a run had too few faults for its success to prove anything.
var errVacuous = errors.New("vacuous")

// Result is what came of a run.
type Result struct {
	Violation error // nil if nothing was wrong
	Counts    check.Counts
}

// Run runs a world to its end, or to the first violation. trace may be nil.
func Run(config Config, trace *Trace) Result {
	r := newRun(config, trace)
	r.run()
	return Result{r.Violation, r.counts}
}

func (r *run) run() {
	defer func() {
		if p := recover(); p != nil {
			r.violatedBy(p, debug.Stack())
		}
	}()
	ends := r.config.ActiveTime + calmTime + 4*r.config.Mix.Memory + rest
	for r.Violation == nil && len(r.agenda.events) > 0 && r.agenda.events[0].at < ends {
		if r.calm && r.finished() && r.forgotten() {
			break
		}
		r.next()
	}
	if r.Violation == nil {
		r.end()
	}
	if faults := r.counts.Faults(); faults < r.config.Faults {
		r.Violated("%w: only %d faults, and %d are wanted", errVacuous, faults, r.config.Faults)
	}
}

func newRun(config Config, trace *Trace) *run {
	r := &run{
		config: config, rng: rand.New(rand.NewPCG(config.Seed, 1)), trace: trace,
		links: map[link]time.Duration{}, away: map[string]time.Time{}, cuts: map[link]time.Time{}, putsFailed: map[int]int{}, inbox: map[*world.Process][]world.Event{}, deaf: map[*world.Process]time.Time{}, unaware: map[*world.Process]time.Time{}, damage: map[messages.Extent]bool{},
	}
	m := &config.Mix
	r.limits = check.Limits{
		Heartbeat: heartbeat, StageTimeout: stageTimeout, Deadline: deadline, LaneExpiry: laneExpiry, Skew: m.Skew,
		ForgetsLanes: m.MaxLanes > 0, LosesEpochs: m.EpochsLost > 0, Repairs: m.Repairs, OneLane: m.OneLane, SlowClient: -1, Settling: settling,
	}
	partitions := max(1, config.Partitions)
	r.checks = check.NewPartitions(partitions, &r.limits, &r.counts, world.Beginning)
	r.Init(r, frontend.Times{Heartbeat: heartbeat, StageTimeout: stageTimeout, Deadline: deadline}, topics(&config)...)
	r.Fetches = r
	r.Tracing, r.Registry.Taken = trace != nil, map[uint64]bool{}
	r.Registry.Lose(epochClock(0))
	if m.Archive {
		r.Archive = world.NewArchive()
		if r.chance(0.5) {
			r.Archive.Most = 2 + r.rng.IntN(6)
		}
		r.limits.Object = r.Archive.Get
	}
	r.createLater()
	r.ShareJournals(r, r.clockError)
	r.streams = make([]stream, len(r.Journals))
	r.generations()
	for _, of := range r.Partitions {
		of.Evidence = new(world.Evidence)
		if of.Exists {
			of.Evidence = world.NewEvidence()
		}
	}
	if r.chance(m.Retain) {
		r.retains, r.retention = true, r.drawRetention()
	}
	for _, role := range []world.Role{world.Replicator, world.Sequencer, world.Stager, world.Stager, world.Frontend} {
		r.start(role)
	}
	if m.Archive {
		r.start(world.Archiver)
		r.start(world.Archiver)
	}
	if r.chance(m.SlowLane) {
		r.limits.SlowClient = r.rng.IntN(config.Clients)
		r.counts.SlowLanes++
	}
	for n := range config.Clients {
		c := r.newClient(n)
		r.clients, r.Clients = append(r.clients, c), append(r.Clients, c.Client)
		if r.Partitions[c.Partition].Exists {
			r.after(r.between(0, time.Second), func() { r.begin(c) })
		}
	}
	r.Bounds.Producers = config.Clients
	if m.Memory > 0 && m.LimitChange == 0 { // a lowered limit evicts nobody
		r.Bounds.Producers = m.MaxProducers
	}
	r.startConsumers()
	r.inspect()
	r.trace.begin(r)
	r.disturbances()
	r.after(config.ActiveTime, r.recover)
	return r
}

// end checks what must be true once faults have ended long ago.
func (r *run) end() {
	r.Finished(func(c *world.Client) bool { return !r.clients[c.Number].done })
	r.Left(r.config.Mix.Memory > 0)
	r.endArchive()
	for _, c := range r.consumers {
		r.FinishedConsumer(c.Consumer)
	}
	for _, of := range r.Partitions {
		kept := of.Evidence.Newest
		if kept == nil || of.Deleted {
			continue
		}
		r.counts.SnapshotsReplayed++
		if err := check.Snapshot(of.ID, kept, of.Log.Entries(), r.config.Mix.Memory > 0); err != nil {
			r.Violated("%w", err)
		}
	}
}

// forgotten reports whether the world has been idle for so long that replicators have
// forgotten whatever expires.
func (r *run) forgotten() bool {
	if r.idleSince.IsZero() {
		r.idleSince = r.Now
	}
	if r.config.Mix.Memory == 0 {
		return true
	}
	return r.Now.Sub(r.idleSince) >= r.config.Mix.Memory*3/2+rest
}

// finished reports whether nothing is left to be done.
func (r *run) finished() bool {
	for _, c := range r.clients {
		if !c.done {
			return false
		}
	}
	for _, p := range r.Processes {
		if p.Dead || p.Role == world.Replicator {
			continue
		}
		if p.Stats.Open > 0 || p.Role == world.Frontend && r.Hanging(p) {
			return false
		}
	}
	return r.consumersDone() && r.settled()
}
