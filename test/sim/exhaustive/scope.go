package exhaustive

import (
	"fmt"
	"time"

	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// Times of a world. Only their order matters.
const (
	heartbeat    = 200 * time.Millisecond
	stageTimeout = 3 * heartbeat
	deadline     = 8 * heartbeat
	laneExpiry   = 20 * heartbeat
)

// Lane is a client with what it sends, in order, on a lane of its own.
type Lane struct {
	Batches    int
	Idempotent bool // it has a producer id, and sends again what is not acknowledged
}

// Scope bounds what is explored.
type Scope struct {
	Lanes []Lane
	// Victim is the role whose owner is disturbed, at most once. The owner crashes or, if
	// Zombie is set, continues after another one has started.
	Victim world.Role
	Zombie bool
	Lose   int // messages, appends or acks that are lost
	Double int // messages that come twice, the second time at any time
	Late   int // appends that are given up and land afterwards, whenever they like
	Beats  int // heartbeats that pass while messages are under way
	// Deadline is how many heartbeats a frontend waits before it answers a ticket without an
	// outcome. 0 means 8, which is longer than the repair of any single loss takes.
	Deadline int
	// Archive means that the log is archived. A job is done at once, and its result arrives at any
	// time. Nothing is purged.
	Archive bool
	Sends   int // requests in all, with those that are sent again; more come when faults have ended
}

// times returns what frontends go by.
func (s Scope) times() frontend.Times {
	t := frontend.Times{Heartbeat: heartbeat, StageTimeout: stageTimeout, Deadline: deadline}
	if s.Deadline > 0 {
		t.Deadline = time.Duration(s.Deadline) * heartbeat
	}
	return t
}

// limits returns the limits for the checks. If no heartbeat passes before the faults end,
// every loss is repaired before a deadline.
func (s Scope) limits() *check.Limits {
	t := s.times()
	return &check.Limits{
		Heartbeat: t.Heartbeat, StageTimeout: t.StageTimeout, Deadline: t.Deadline, LaneExpiry: laneExpiry,
		Repairs: s.Beats == 0, Settling: time.Hour,
	}
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
	archive := ""
	if s.Archive {
		archive = ",archive"
	}
	return fmt.Sprintf("%s/%s-%s/lose=%d,double=%d,late=%d,beats=%d,deadline=%d,sends=%d%s",
		lanes[:len(lanes)-1], what, s.Victim, s.Lose, s.Double, s.Late, s.Beats, s.Deadline, s.Sends, archive)
}
