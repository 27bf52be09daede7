package random

import (
	"fmt"
	"math/rand/v2"
	"time"

	"laneway.dev/pkg/messages"
	archiver "laneway.dev/services/archiver/core"
	replicator "laneway.dev/services/replicator/core"
	stager "laneway.dev/services/stager/core"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// run is one run: a world, and when what happens in it. It belongs to one goroutine.
type run struct {
	world.World
	config    Config
	rng       *rand.Rand
	agenda    agenda
	calm      bool      // faults have ended
	idleSince time.Time // nothing is left to be done

	clients   []*client
	consumers []*consumer
	damage    map[messages.Extent]bool         // by batch in the object store: whether it cannot be read any more
	away      map[string]time.Time             // by key of an object of batches: until when archivers cannot read it
	deaf      map[*world.Process]time.Time     // frontends without a connection to consumers, until when
	unaware   map[*world.Process]time.Time     // processes that hear of no generation, until when
	links     map[link]time.Duration           // when the last arrival on a way is
	cuts      map[link]time.Time               // ways on which nothing arrives, until when
	streams   []stream                         // of the journals
	inbox     map[*world.Process][]world.Event // what a busy process handles in its next turn
	limits    check.Limits
	topic     replicator.Limits    // present ones, if they change; zero otherwise
	retains   bool                 // the topic has a retention, at times
	retention replicator.Retention // present one

	truncations []*world.Truncation // that were requested since faults have ended
	checks      check.Partitions
	counts      check.Counts
	trace       *Trace
	planned     int // disturbances

	losses     [2]time.Time // the last ones, of a mix that has few
	putsFailed map[int]int  // by number of a stager
	calmSwept  int          // sweeps that are complete since faults have ended
}

// after plans something.
func (r *run) after(d time.Duration, do func()) {
	r.agenda.push(r.elapsed()+d, do)
}

// awake does something in a process: now, later if it hangs, never if it is dead.
func (r *run) awake(p *world.Process, do func()) {
	switch {
	case p.Dead:
	case r.Hanging(p):
		r.after(p.Hangs.Sub(r.Now), func() { r.awake(p, do) })
	default:
		do()
	}
}

// longestTurn is how long a process is busy with a turn at most, while more arrives.
const longestTurn = 3 * time.Millisecond

// arrives hands a message or a request to a process. One that is busy handles it with others, in one turn.
func (r *run) arrives(p *world.Process, e world.Event) {
	if !r.config.Busy {
		r.Deliver(p, e)
		return
	}
	waiting := r.inbox[p]
	r.inbox[p] = append(waiting, e)
	if len(waiting) > 0 {
		return
	}
	r.after(r.between(0, longestTurn), func() {
		all := r.inbox[p]
		delete(r.inbox, p)
		r.Deliver(p, all...)
	})
}

// next lets the next event happen.
func (r *run) next() {
	e := r.agenda.pop()
	r.Now = world.Beginning.Add(e.at)
	r.counts.Events++
	e.do()
}

// chance draws true with a probability.
func (r *run) chance(p float64) bool { return p > 0 && r.rng.Float64() < p }

// fault is chance while there are faults.
func (r *run) fault(p float64) bool { return !r.calm && r.chance(p) }

// between draws a duration, evenly.
func (r *run) between(low, high time.Duration) time.Duration {
	return low + time.Duration(r.rng.Int64N(int64(high-low)+1))
}

func pick[T any](r *run, from []T) T { return from[r.rng.IntN(len(from))] }

func (r *run) elapsed() time.Duration { return r.Now.Sub(world.Beginning) }

// Say implements world.Scheduler.
func (r *run) Say(format string, args ...any) {
	if r.trace != nil {
		r.trace.line(r.elapsed(), format, args...)
	}
}

// See implements world.Scheduler.
func (r *run) See(now time.Time, of int, what check.Sighting) error {
	return r.checks.See(now, of, what)
}

// some draws a partition.
func (r *run) some() *world.Partition {
	exist := r.IDs().Exist
	if len(exist) == 1 {
		return r.Partitions[exist[0]]
	}
	return r.Partitions[pick(r, exist)]
}

// Node implements world.Scheduler.
func (r *run) Node(of *world.Partition, n world.Node) *world.Node {
	r.trace.committed(r.elapsed(), of.ID, &n.Entry.Entry)
	return &n
}

// start starts a process of a role, which notices the time in each heartbeat.
func (r *run) start(role world.Role) {
	p := r.Start(role, r.clockError())
	r.Know(p, r.Generation)
	r.beat(p)
	if role == world.Archiver && r.Generation > 0 {
		r.sweeps(p)
	}
}

func (r *run) beat(p *world.Process) {
	if p.Dead {
		return
	}
	r.Tick(p)
	r.after(heartbeat, func() { r.beat(p) })
}

// Machine implements world.Scheduler.
func (r *run) Machine(p *world.Process) world.Machine {
	return &machine{world.Live{Core: r.core(p), Parcels: r.config.Parcels}, &r.counts}
}

func (r *run) core(p *world.Process) world.Core {
	m := &r.config.Mix
	switch p.Role {
	case world.Frontend:
		inline := r.config.Inline
		if m.OneLane {
			inline = 0 // this is about uploads
		}
		return world.NewFrontend(p.Name, p.Epoch, r.Times, inline, r.IDs())
	case world.Sequencer:
		return world.NewSequencer(p.Name, p.Epoch, heartbeat, r.IDs())
	case world.Stager:
		settings := stager.Settings{
			ReportEvery: heartbeat, ObjectBytes: 1 << 20, ObjectBatches: 1 + r.rng.IntN(3), Uploads: 16, MemoryBytes: r.config.StagerBytes,
		}
		if m.OneLane {
			// Batches of one object share its fate, and those of one stager its memory.
			settings.ObjectBatches, settings.Uploads, settings.MemoryBytes = 1, 1<<10, 1<<20
		}
		r.Bounds.StagerBytes = int(settings.MemoryBytes)
		return world.NewStager(p.Name, settings, r.IDs())
	case world.Archiver:
		return world.NewArchiver(archiver.Settings{Workers: 1 + r.rng.IntN(2), Waiting: r.rng.IntN(3), ReportEvery: 2 * heartbeat})
	default:
		s := replicator.DefaultSettings(p.Name)
		s.Heartbeat, s.LaneExpiry = heartbeat, laneExpiry
		if m.MaxLanes > 0 {
			s.MaxLanes = m.MaxLanes
		}
		if m.Memory > 0 {
			s.ProducerExpiry, s.IDWindow, s.MaxProducers = m.Memory, m.Memory, m.MaxProducers
		}
		if r.topic != (replicator.Limits{}) {
			s.Limits = r.topic
		}
		s.EntryItems, s.ReadEntries = 1+r.rng.IntN(12), 1+r.rng.IntN(20)
		s.SnapshotEvery = uint64(3 + r.rng.IntN(40))
		s.Epoch = p.Epoch
		if m.Archive {
			r.archiving(&s)
		}
		return world.NewReplicator(p.Name, s, false, r.IDs())
	}
}

// machine is a core whose steps are counted.
type machine struct {
	world.Live
	counts *check.Counts
}

// Step implements world.Machine.
func (m *machine) Step(now time.Time, events []world.Event) (world.Machine, *world.Effects) {
	_, fx := m.Live.Step(now, events)
	m.counts.Early += fx.Stats.Early
	m.counts.Repeated += fx.Stats.Repeated
	m.counts.Outdated += fx.Stats.Outdated
	m.counts.Meetings += fx.Stats.Meetings
	m.counts.Together += max(0, len(events)-1)
	return m, fx
}

// longestTaking is how long a process waits for an epoch at most: so shortly that tickets are answered
// in time all the same.
const longestTaking = heartbeat / 2

// TakeEpoch implements world.Scheduler.
func (r *run) TakeEpoch(p *world.Process, above uint64) {
	r.after(r.between(0, longestTaking), func() { r.awake(p, func() { r.Fenced(p, above) }) })
}

// Died implements world.Scheduler.
func (r *run) Died(p *world.Process, why string) {
	if p.Busy() {
		r.counts.BusyFailovers++
	}
	switch {
	case why != world.Replaced:
	case p.Role == world.Replicator:
		r.counts.Replaced++
	default:
		r.counts.Fenced++
	}
}

// violatedBy turns the panic of a core into a violation.
func (r *run) violatedBy(panicked any, stack []byte) {
	r.Violated("%w", fmt.Errorf("panic: %v\n%s", panicked, stack))
}
