package exhaustive

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"laneway.dev/internal/core/ownership"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// Times of a world. Only their order matters.
const (
	heartbeat    = 200 * time.Millisecond
	stageTimeout = 3 * heartbeat
	deadline     = 8 * heartbeat
	laneExpiry   = 20 * heartbeat
)

var (
	partition = protocol.Partition{Topic: "orders", TopicID: 77}
	beginning = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
)

// world is everything that has a future. It belongs to one goroutine. What pointers and
// slices in it lead to is never changed, so that a copy may share it; the exceptions are
// the slices that become copies.
type world struct {
	memo  *memo
	scope *Scope
	trace *[]string // nil if nobody reads it

	beats   int // heartbeats that have passed
	left    budget
	sends   int  // requests that may still be sent
	calm    bool // faults have ended
	givenUp int  // tickets

	processes []process
	queues    []queue
	uploads   []*letter // they end in any order
	ended     []*letter // uploads whose results may come a second time
	late      []*appending
	clients   []client
	owners    [Replicator + 1]ownership.Assignment // by role
	log       *logged
	checks    *checks
	violation error
}

// budget is what may still go wrong.
type budget struct{ lose, double, late, disturb, beats int }

// process is an owner of a role. Of a dead one nothing is kept.
type process struct {
	role   Role
	number int
	dead   bool
	epoch  uint64
	core   *state
	open   int  // tickets or lanes
	ready  bool // requests are admitted
	disk   disk
	had    []*letter // what has arrived, and may come a second time
}

func (p *process) String() string {
	if p == nil {
		return "nobody"
	}
	return fmt.Sprintf("%s-%d", p.role, p.number)
}

// queue holds what is on its way from one process, or to one client, in the order
// of sending: a connection keeps it.
type queue struct {
	from, to int // numbers of processes; -1-n is client n
	letters  []*letter
}

func newWorld(m *memo, scope *Scope, trace *[]string) *world {
	w := &world{memo: m, scope: scope, trace: trace, calm: true, checks: m.check(newChecks())}
	w.log = m.logged(nil, string(messages.EncodeEntry(messages.Entry{TopicID: partition.TopicID, Created: true})))
	for n, l := range scope.Lanes {
		w.clients = append(w.clients, w.newClient(n, l))
	}
	for _, r := range []Role{Replicator, Sequencer, Frontend} {
		w.start(r)
	}
	for w.drainServices() {
		continue // until every service is at work
	}
	w.left = budget{scope.Lose, scope.Double, scope.Late, 0, scope.Beats}
	if scope.Victim != Nobody {
		w.left.disturb = 1
	}
	w.calm, w.sends = false, scope.Sends
	return w
}

// become makes a world a copy of another one, which goes its own way. It keeps its memory.
func (w *world) become(other *world) {
	old := *w
	*w = *other
	w.processes = reuse(old.processes, other.processes)
	w.queues = reuse(old.queues, other.queues)
	w.uploads = reuse(old.uploads, other.uploads)
	w.late = reuse(old.late, other.late)
	w.clients = reuse(old.clients, other.clients)
}

func reuse[T any](memory, all []T) []T { return append(memory[:0], all...) }

// start starts a process. It takes an epoch above all others.
func (w *world) start(r Role) {
	w.processes = append(w.processes, process{role: r, number: len(w.processes) + 1})
	p := &w.processes[len(w.processes)-1]
	w.say("%s starts", p)
	w.takeEpoch(p, 0)
	p.core = w.machine(p)
	w.step(p, nil)
}

// takeEpoch takes the next epoch of its role for a process, above the one that has fenced it,
// or reports that a younger process has the role.
func (w *world) takeEpoch(p *process, above uint64) (replaced bool) {
	own := ownership.Assignment{Epoch: p.epoch, Instance: p.String()}
	next, replaced := own.Next(w.owners[p.role], above, time.Time{})
	if !replaced {
		w.owners[p.role], p.epoch = next, next.Epoch
	}
	return replaced
}

// die ends a process, and what is on its way to it.
func (w *world) die(p *process, why string) {
	w.say("%s ends: %s", p, why)
	*p = process{role: p.role, number: p.number, dead: true}
	w.queues = slices.DeleteFunc(w.queues, func(q queue) bool { return q.to == p.number })
}

func (w *world) process(number int) *process { return &w.processes[number-1] }

// living returns the living processes of a role, oldest first.
func (w *world) living(r Role) []*process {
	var all []*process
	for i := range w.processes {
		if p := &w.processes[i]; p.role == r && !p.dead {
			all = append(all, p)
		}
	}
	return all
}

// send sends what a process wants to have sent.
func (w *world) send(p *process, fx *effects) {
	for _, u := range fx.uploads {
		w.issued(u.ticket)
		w.uploads = insert(w.uploads, u.staged)
	}
	for _, m := range fx.send {
		for i := range w.processes {
			if to := &w.processes[i]; !to.dead && to.listens(m.subject) {
				w.enqueue(p.number, to.number, m.letter)
			}
		}
	}
}

func (w *world) enqueue(from, to int, l *letter) {
	at, found := slices.BinarySearchFunc(w.queues, queue{from: from, to: to}, func(a, b queue) int {
		return (a.from-b.from)*1000 + a.to - b.to
	})
	if !found {
		w.queues = slices.Insert(w.queues, at, queue{from: from, to: to})
	}
	q := &w.queues[at]
	q.letters = append(slices.Clip(q.letters), l)
}

// insert returns letters with another one. Their order has no meaning.
func insert(all []*letter, l *letter) []*letter {
	at, _ := slices.BinarySearchFunc(all, l, func(a, b *letter) int { return strings.Compare(a.data, b.data) })
	return slices.Insert(slices.Clip(all), at, l)
}

// violated notes the first thing that must never be.
func (w *world) violated(format string, args ...any) {
	if w.violation == nil {
		w.violation = fmt.Errorf(format, args...)
		w.say("VIOLATION: %v", w.violation)
	}
}

func (w *world) say(format string, args ...any) {
	if w.trace != nil {
		*w.trace = append(*w.trace, fmt.Sprintf(format, args...))
	}
}
