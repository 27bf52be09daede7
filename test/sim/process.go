package sim

import (
	"fmt"
	"time"

	"laneway.dev/internal/core/ownership"
	"laneway.dev/pkg/messages"
)

type role int

const (
	frontendRole role = iota
	stagerRole
	sequencerRole
	replicatorRole
	roles
)

func (r role) String() string {
	return [...]string{"frontend", "stager", "sequencer", "replicator"}[r]
}

// service is what runs in a process: a core with the shell around it.
type service interface {
	// tick does what time asks for.
	tick()
	// receive takes what has arrived, in one turn: messages, and requests of clients.
	receive(arrived []any)
	// listens says whether messages to a subject are for this one.
	listens(subject string) bool
}

// process is one run of a service. A process that hangs takes nothing until it
// goes on; then it goes on as if no time had passed, and what has arrived in a row
// is taken in one turn.
type process struct {
	w       *world
	role    role
	number  int // of all starts
	service service
	dead    bool
	hangs   time.Time // until when; zero is not at all
	missed  []missed
	late    bool          // it has missed a tick
	skew    time.Duration // of its clock
}

func (p *process) String() string { return fmt.Sprintf("%s-%d", p.role, p.number) }

// missed is what a process that hangs is to do when it goes on: something, or to
// take what has arrived.
type missed struct {
	do      func()
	arrived any
}

// now is what the clock of the process says.
func (p *process) now() time.Time { return p.w.now.Add(p.skew) }

// start starts a process of a role. Whoever has the role is left as it is.
func (w *world) start(r role) *process {
	w.started++
	p := &process{w: w, role: r, number: w.started}
	if most := w.config.Mix.Skew; most > 0 {
		p.skew = w.between(-most, most)
	}
	switch r {
	case frontendRole:
		p.service = newFrontend(p)
	case stagerRole:
		p.service = newStager(p)
	case sequencerRole:
		p.service = newSequencer(p)
	case replicatorRole:
		p.service = newReplicator(p)
	}
	w.processes = append(w.processes, p)
	w.say("%s starts", p)
	p.beat()
	return p
}

// beat lets the process notice the time, again and again.
func (p *process) beat() {
	if p.dead {
		return
	}
	if p.w.now.Before(p.hangs) {
		p.late = true // however many it misses, it has one of them
	} else {
		p.tick()
	}
	p.w.after(heartbeat, p.beat)
}

func (p *process) tick() {
	p.service.tick()
	p.w.checks.bounded(p)
}

// run runs something in the process: now, later if it hangs, never if it is dead.
func (p *process) run(do func()) {
	switch {
	case p.dead:
	case p.w.now.Before(p.hangs):
		p.missed = append(p.missed, missed{do: do})
	default:
		do()
	}
}

// put hands over what arrives: now, later if the process hangs, never if it is dead.
func (p *process) put(arrived any) {
	switch {
	case p.dead:
	case p.w.now.Before(p.hangs):
		p.missed = append(p.missed, missed{arrived: arrived})
	default:
		p.take([]any{arrived})
	}
}

func (p *process) take(arrived []any) {
	for _, a := range arrived {
		p.w.trace.arrived(p.w.elapsed(), p, a)
	}
	p.w.counts.Together += len(arrived) - 1
	p.service.receive(arrived)
}

// hang stops the process where it is, for a while.
func (p *process) hang(d time.Duration) {
	if p.dead || p.w.now.Before(p.hangs) {
		return
	}
	p.w.counts.Hangs++
	p.w.say("%s hangs for %s", p, d.Round(time.Millisecond))
	p.hangs = p.w.now.Add(d)
	p.w.after(d, func() {
		missed, late := p.missed, p.late
		p.missed, p.late = nil, false
		p.catchUp(missed)
		if late && !p.dead {
			p.tick()
		}
	})
}

func (p *process) catchUp(missed []missed) {
	for i := 0; i < len(missed) && !p.dead; i++ {
		if missed[i].do != nil {
			missed[i].do()
			continue
		}
		arrived := []any{missed[i].arrived}
		for ; i+1 < len(missed) && missed[i+1].do == nil; i++ {
			arrived = append(arrived, missed[i+1].arrived)
		}
		p.take(arrived)
	}
}

// die ends the process with all that it knows.
func (p *process) die(why string) {
	if !p.dead {
		p.w.say("%s ends: %s", p, why)
		if p.busy() {
			p.w.counts.BusyFailovers++
		}
		p.dead, p.missed = true, nil
	}
}

// busy says whether the process has something in flight.
func (p *process) busy() bool {
	switch s := p.service.(type) {
	case *frontendService:
		return s.core.Stats().Outstanding > 0
	case *stagerService:
		return s.core.Stats().Held > 0
	case *sequencerService:
		return s.core.Stats().Lanes > 0
	case *replicatorService:
		return s.appending
	}
	return false
}

// living returns the processes of a role that are not dead, oldest first.
func (w *world) living(r role) []*process {
	var all []*process
	for _, p := range w.processes {
		if p.role == r && !p.dead {
			all = append(all, p)
		}
	}
	return all
}

// registry keeps the assignment of each role. That an epoch which no assignment names is
// taken a second time, after the registry was lost, is not simulated.
type registry struct {
	clock       time.Time // where the epochs of a role without an assignment begin
	assignments [roles]ownership.Assignment
	taken       map[uint64]bool // all epochs there were
}

// sparse is how many seconds the clock is set back each time that the registry is lost, so
// that its epochs begin below those that services and the log know.
const sparse = 1000

// lose loses the registry for the nth time.
func (r *registry) lose(n int) {
	*r = registry{clock: time.Unix(int64(mostDisturbances-n)*sparse, 0), taken: r.taken}
}

// takeEpoch takes the next epoch of its role for a process that has the epoch current,
// above the one that has fenced it; both are 0 when it starts.
func (p *process) takeEpoch(current, above uint64) (epoch uint64, replaced bool) {
	g, own := &p.w.registry, ownership.Assignment{Epoch: current, Instance: p.String()}
	next, replaced := own.Next(g.assignments[p.role], above, g.clock)
	if replaced {
		return 0, true
	}
	for g.taken[next.Epoch] {
		next, _ = own.Next(g.assignments[p.role], next.Epoch, g.clock)
	}
	g.assignments[p.role], g.taken[next.Epoch] = next, true
	return next.Epoch, false
}

// firstEpoch takes the epoch of a process that starts.
func (p *process) firstEpoch() uint64 {
	epoch, _ := p.takeEpoch(0, 0)
	return epoch
}

func (p *process) send(envelopes []messages.Envelope) {
	for _, e := range envelopes {
		p.w.publish(p, e.Subject, e.Message)
	}
}
