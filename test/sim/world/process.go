package world

import (
	"fmt"
	"slices"
	"time"

	"laneway.dev/services/frontend/core/fetch"
	"laneway.dev/test/sim/check"
)

// Process is one run of a service. A process that hangs handles nothing until it
// continues. It then continues as if no time had passed, and handles consecutive arrivals
// in one turn.
type Process struct {
	Name    string
	Role    Role
	Number  int // of all starts
	Dead    bool
	Epoch   uint64
	Earlier []uint64 // epochs of a frontend: an answer may come to an older one
	Machine Machine
	Stats   Stats
	Shares  [MostPartitions]Share
	Skew    time.Duration // of its clock
	Hangs   time.Time     // until when; zero is not at all
	// Generation is the newest one that a stager or an archiver knows, after which it names its objects.
	Generation uint64

	writers     []*Writer // of journals, by their index; nil if it has opened none
	missed      []Event   // what has come while it hangs
	late        bool      // it has missed a tick
	inits       []*initRequest
	truncations []*Truncation
	renewing    bool      // it gives up its epoch
	fenced      int       // requests for an epoch that are under way
	unanswered  []Request // since a frontend is fenced
	fetches     []*Fetch
	ends        []fetch.LogEnd // of a frontend with fetches, by partition
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
	if r != Stager && r != Archiver {
		w.takeEpoch(p, 0)
	}
	if r == Frontend && w.Fetches != nil {
		p.ends = make([]fetch.LogEnd, len(w.Partitions))
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
	w.See(check.All, check.Died{Process: p.Name})
}

// Busy reports whether the process has something in flight.
func (p *Process) Busy() bool {
	if p.Role == Replicator {
		return slices.ContainsFunc(p.Shares[:], func(s Share) bool { return s.appending })
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

// Tick lets a process notice the time: now, or once when it continues. With each tick a
// stager announces itself, and a frontend ends a round in which announcements could arrive.
func (w *World) Tick(p *Process) {
	switch {
	case p.Dead:
	case w.Hanging(p):
		p.late = true
	default:
		w.step(p, ticks[p.Role]...)
		w.tickInits(p)
		w.tickTruncations(p)
		w.bounded(p)
		if p.Role == Stager {
			w.announce(p)
		}
	}
}

// Deliver hands events to a process, for one turn: now, later if it hangs, never if it is dead. Only
// messages and requests can be several.
func (w *World) Deliver(p *Process, events ...Event) {
	switch {
	case p.Dead:
	case w.Hanging(p):
		p.missed = append(p.missed, events...)
	default:
		w.take(p, events)
	}
}

func (w *World) take(p *Process, events []Event) {
	if r, is := events[0].(Removed); is && p.Role == Frontend {
		w.leavePartition(p, w.Partitions[r.Of])
		return
	}
	if w.Tracing && arrives(events[0]) {
		for _, e := range events {
			w.Say("  %s gets %s", p, w.describeEvent(e))
		}
	}
	w.step(p, events...)
}
