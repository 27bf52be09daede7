package exhaustive

import (
	"fmt"
	"time"

	frontend "laneway.dev/services/frontend/core"
)

// Role is what a process does.
type Role int

// The roles that have an owner. Stagers own nothing: an upload is a message here.
const (
	Nobody Role = iota
	Frontend
	Sequencer
	Replicator
)

func (r Role) String() string {
	return [...]string{"nobody", "frontend", "sequencer", "replicator"}[r]
}

// Lane is a client with what it sends, in order, on a lane of its own.
type Lane struct {
	Batches    int
	Idempotent bool // it has a producer id, and sends again what is not acknowledged
}

// Scope bounds what is explored.
type Scope struct {
	Lanes []Lane
	// Victim is the role whose owner is disturbed, at most once. It crashes, or, as a
	// Zombie, goes on when another one has been started.
	Victim Role
	Zombie bool
	Lose   int // messages, appends or acks that are lost
	Double int // messages that come twice, the second time whenever it likes
	Late   int // appends that are given up and land afterwards, whenever they like
	Beats  int // heartbeats that pass while messages are under way
	// Deadline is how many heartbeats a frontend waits until it gives a ticket up; 0 is
	// longer than the repair of anything that one loss can do.
	Deadline int
	Sends    int // requests in all, with those that are sent again; more come when faults have ended
}

// times returns what frontends go by.
func (s Scope) times() frontend.Times {
	t := frontend.Times{Heartbeat: heartbeat, StageTimeout: stageTimeout, Deadline: deadline}
	if s.Deadline > 0 {
		t.Deadline = time.Duration(s.Deadline) * heartbeat
	}
	return t
}

// String names the scope.
func (s Scope) String() string {
	lanes := ""
	for _, l := range s.Lanes {
		kind := "plain"
		if l.Idempotent {
			kind = "idempotent"
		}
		lanes += fmt.Sprintf("%dx%s,", l.Batches, kind)
	}
	what := "crash"
	if s.Zombie {
		what = "zombie"
	}
	return fmt.Sprintf("%s/%s-%s/lose=%d,double=%d,late=%d,beats=%d,deadline=%d,sends=%d",
		lanes[:len(lanes)-1], what, s.Victim, s.Lose, s.Double, s.Late, s.Beats, s.Deadline, s.Sends)
}
