package world

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"laneway.dev/internal/core/ownership"
	"laneway.dev/pkg/messages"
	frontend "laneway.dev/services/frontend/core"
	replicator "laneway.dev/services/replicator/core"
	sequencer "laneway.dev/services/sequencer/core"
	"laneway.dev/test/sim/check"
)

// Process is one run of a service. A process that hangs takes nothing until it
// continues; then it continues as if no time had passed, and what has arrived in a row
// is taken in one turn.
type Process struct {
	Name    string
	Role    Role
	Number  int // of all starts
	Dead    bool
	Epoch   uint64
	Earlier []uint64 // epochs of a frontend: an answer may come to an older one
	Machine Machine
	Stats   Stats
	Ready   bool          // a frontend admits requests
	Skew    time.Duration // of its clock
	Hangs   time.Time     // until when; zero is not at all

	missed     []Event // what has come while it hangs
	late       bool    // it has missed a tick
	inits      []*initRequest
	renewing   bool // it gives up its epoch
	appending  bool
	unanswered []Request // of the turn in which a frontend is fenced
}

func (p *Process) String() string { return p.Name }

// Hanging reports whether the process takes nothing now.
func (w *World) Hanging(p *Process) bool { return w.Now.Before(p.Hangs) }

// Clock returns what the clock of the process says.
func (w *World) Clock(p *Process) time.Time { return w.Now.Add(p.Skew) }

// Start starts a process of a role. An owner that exists is left as it is.
func (w *World) Start(r Role, skew time.Duration) *Process {
	number := len(w.Processes) + 1
	p := &Process{Name: fmt.Sprintf("%s-%d", r, number), Role: r, Number: number, Skew: skew}
	if r != Stager {
		w.takeEpoch(p, 0)
	}
	w.Processes = append(w.Processes, p)
	p.Machine = w.scheduler.Machine(p)
	w.Say("%s starts", p)
	return p
}

// Living returns the processes of a role that are not dead, oldest first.
func (w *World) Living(r Role) []*Process {
	var all []*Process
	for _, p := range w.Processes {
		if p.Role == r && !p.Dead {
			all = append(all, p)
		}
	}
	return all
}

// Replaced is why a process ends that is fenced while a younger owner of its role exists.
const Replaced = "replaced"

// Die ends a process with all that it knows.
func (w *World) Die(p *Process, why string) {
	if p.Dead {
		return
	}
	w.Say("%s ends: %s", p, why)
	w.scheduler.Died(p, why)
	*p = Process{Name: p.Name, Role: p.Role, Number: p.Number, Dead: true}
	w.See(check.Died{Process: p.Name})
}

// Busy reports whether the process has something in flight.
func (p *Process) Busy() bool {
	if p.Role == Replicator {
		return p.appending
	}
	return p.Stats.Open > 0
}

// Hang stops a process where it is. Wake lets it continue.
func (w *World) Hang(p *Process, d time.Duration) {
	w.Say("%s hangs for %s", p, d.Round(time.Millisecond))
	p.Hangs = w.Now.Add(d)
}

// Wake lets a process take what has come while it hung.
func (w *World) Wake(p *Process) {
	missed, late := p.missed, p.late
	p.missed, p.late = nil, false
	for i := 0; i < len(missed) && !p.Dead; {
		from := i
		for i++; arrives(missed[from]) && i < len(missed) && arrives(missed[i]); i++ {
			continue
		}
		w.take(p, missed[from:i])
	}
	if late && !p.Dead {
		w.Tick(p)
	}
}

// arrives reports whether an event comes to the mailbox of a process.
func arrives(e Event) bool {
	switch e.(type) {
	case *Message, Request:
		return true
	}
	return false
}

// Tick lets a process notice the time: now, or once when it continues.
func (w *World) Tick(p *Process) {
	switch {
	case p.Dead:
	case w.Hanging(p):
		p.late = true
	default:
		w.step(p)
		w.tickInits(p)
		w.bounded(p)
	}
}

// Deliver hands an event to a process: now, later if it hangs, never if it is dead.
func (w *World) Deliver(p *Process, e Event) {
	switch {
	case p.Dead:
	case w.Hanging(p):
		p.missed = append(p.missed, e)
	default:
		w.take(p, []Event{e})
	}
}

func (w *World) take(p *Process, events []Event) {
	if w.Tracing && arrives(events[0]) {
		for _, e := range events {
			w.Say("  %s gets %s", p, describeEvent(e))
		}
	}
	w.step(p, events...)
}

// step lets a process take events, and has done what it wants to have done.
func (w *World) step(p *Process, events ...Event) {
	machine, fx := p.Machine.Step(w.Clock(p), events)
	p.Machine, p.Stats = machine, fx.Stats
	p.appended(events)
	for _, seen := range fx.Seen {
		w.See(seen)
	}
	if fx.Damage != "" {
		w.Violated("damage: %s calls the log damaged, because %s", p, fx.Damage)
	}
	for i := range fx.Announced {
		if !w.Log.holds(&fx.Announced[i]) {
			w.Violated("log: %s announces an entry %d that is not the log's", p, fx.Announced[i].Sequence)
		}
	}
	for _, e := range fx.Send {
		w.send(p, e)
	}
	if fx.TakeEpoch != 0 && p.Role == Frontend {
		p.unanswered = requests(events)
	}
	w.answer(p, fx.Answers)
	p.Ready = p.Ready || fx.Ready
	for _, m := range fx.Fenced {
		w.stepInits(p, m)
	}
	switch {
	case fx.Ended:
		w.Die(p, Replaced)
	case fx.TakeEpoch != 0:
		w.fenced(p, fx.TakeEpoch)
	default:
		w.do(p, fx)
	}
}

// appended notes that an append of a replicator has ended.
func (p *Process) appended(events []Event) {
	if !p.appending {
		return
	}
	for _, e := range events {
		switch e.(type) {
		case replicator.Appended, replicator.AppendFailed:
			p.appending = false
		}
	}
}

// do has the reads and writes of a process done.
func (w *World) do(p *Process, fx *Effects) {
	s := w.scheduler
	for _, o := range fx.Uploads {
		s.Upload(p, o)
	}
	switch {
	case fx.Append != nil:
		p.appending = true
		s.Append(p, fx.Append)
	case fx.Read != nil:
		s.Read(p, *fx.Read)
	case fx.Load:
		s.Load(p)
	}
	if fx.Mark != nil {
		s.Mark(p, *fx.Mark)
	}
	if fx.Scrub {
		s.Scrub(p)
	}
	if fx.Save != nil {
		s.Save(p, fx.Save)
	}
}

// send sends a message to the processes that listen to its subject.
func (w *World) send(from *Process, e Envelope) {
	to := w.listening[:0]
	for _, p := range w.Processes {
		if !p.Dead && p.listens(e.Subject) {
			to = append(to, p)
		}
	}
	w.listening = to
	w.scheduler.Send(from, to, e.Message)
}

func (p *Process) listens(subject string) bool {
	switch p.Role {
	case Stager:
		return subject == messages.StageSubject
	case Sequencer:
		return subject == sequencerSubject
	case Replicator:
		return subject == replicatorSubject
	default:
		return subject == committedSubject || subject == messages.FrontendSubject(p.Epoch) ||
			slices.ContainsFunc(p.Earlier, func(epoch uint64) bool { return subject == messages.FrontendSubject(epoch) })
	}
}

// answer checks the answers of a frontend, and sends them to their clients.
func (w *World) answer(p *Process, answers []Answer) {
	for _, a := range answers {
		if a.Ticket.Number > 0 {
			w.See(check.Answered{
				By: p.Name, Ticket: a.Ticket, Code: a.Code, Detail: a.Detail, Offset: a.Offset, Duplicate: a.Duplicate,
				Stalled: p.Hangs, LastTurn: p.renewing,
			})
		}
		if p.unanswered != nil {
			p.unanswered = slices.DeleteFunc(p.unanswered, func(r Request) bool { return r == a.Request })
		}
		w.scheduler.Reply(p, a)
	}
}

// requests returns the requests of clients among events.
func requests(events []Event) []Request {
	var all []Request
	for _, e := range events {
		if r, is := e.(Request); is {
			all = append(all, r)
		}
	}
	return all
}

// Registry keeps the assignment of each role.
type Registry struct {
	Assignments [roles]ownership.Assignment
	Clock       time.Time // where the epochs of a role without an assignment start
	// Taken are all epochs there were. That an epoch which no assignment names is taken a
	// second time, after the registry was lost, is not simulated. Nil for a scheduler that does
	// not lose the registry.
	Taken map[uint64]bool
}

// Lose loses all assignments.
func (g *Registry) Lose(clock time.Time) { *g = Registry{Clock: clock, Taken: g.Taken} }

// takeEpoch takes the next epoch of its role for a process, above the one that has fenced it,
// or reports that a younger process has the role.
func (w *World) takeEpoch(p *Process, above uint64) (replaced bool) {
	g, own := &w.Registry, ownership.Assignment{Epoch: p.Epoch, Instance: p.Name}
	next, replaced := own.Next(g.Assignments[p.Role], above, g.Clock)
	if replaced {
		return true
	}
	for g.Taken[next.Epoch] {
		next, _ = own.Next(g.Assignments[p.Role], next.Epoch, g.Clock)
	}
	if g.Taken != nil {
		g.Taken[next.Epoch] = true
	}
	g.Assignments[p.Role], p.Epoch = next, next.Epoch
	return false
}

var errReplaced = errors.New("a younger replicator runs")

// fenced gives a process another epoch, or ends it if a younger owner of its role exists. The
// shell of a replicator reads the assignment also before it claims a log; here it does not,
// as if it could never be read then.
func (w *World) fenced(p *Process, above uint64) {
	old := p.Epoch
	replaced := w.takeEpoch(p, above)
	switch {
	case p.Role == Frontend && replaced:
		w.step(p, frontend.Ending{Replaced: true})
		w.Die(p, Replaced)
	case p.Role == Frontend:
		w.renew(p, old)
	case p.Role == Sequencer && replaced:
		w.step(p, sequencer.Replaced{}) // it ends
	case p.Role == Sequencer:
		w.step(p, sequencer.EpochTaken{Epoch: p.Epoch})
	case replaced:
		w.step(p, replicator.Replaced{Err: errReplaced}) // it ends
	default:
		w.Say("%s takes the epoch %d", p, p.Epoch)
		w.step(p, replicator.EpochTaken{Epoch: p.Epoch})
	}
}

// renew lets a frontend continue in a new epoch, and checks that it has answered everything
// of the old one.
func (w *World) renew(p *Process, old uint64) {
	p.Earlier = append(slices.Clip(p.Earlier), old)
	p.renewing = true
	w.step(p, frontend.EpochTaken{Epoch: p.Epoch})
	for _, r := range p.unanswered {
		w.Violated("I3: %s has given up its epoch, and has not answered %s", p, r)
	}
	p.renewing, p.unanswered = false, nil
	w.See(check.Abandoned{By: p.Name, Epoch: old})
}
