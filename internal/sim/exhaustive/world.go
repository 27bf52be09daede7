package exhaustive

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"laneway.dev/internal/wire"
	"laneway.dev/pkg/messages"
	"laneway.dev/services/frontend"
	"laneway.dev/services/replicator"
	"laneway.dev/services/sequencer"
)

// Times of a world. Only their order matters.
const (
	heartbeat    = 200 * time.Millisecond
	stageTimeout = 3 * heartbeat
	deadline     = 8 * heartbeat
	laneExpiry   = 20 * heartbeat
)

var (
	partition = messages.Partition{Topic: "orders", TopicID: 77}
	beginning = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
)

// world is everything that has a future. It belongs to one goroutine.
type world struct {
	scope Scope
	now   time.Time
	left  budget
	calm  bool // faults have ended

	processes []*process
	queues    []*queue
	uploads   []packet // they end in any order
	strays    []stray  // second copies
	late      []*appending
	clients   []*client
	epochs    uint64
	log       []messages.LoggedEntry
	checks    checks
	violation error
	trace     *[]string // nil if nobody reads it
}

// budget is what may still go wrong.
type budget struct{ lose, double, late, disturb, beats, sends int }

// process is an owner of a role. Of a dead one nothing is kept.
type process struct {
	role       Role
	number     int
	dead       bool
	epoch      uint64
	frontend   *frontend.Core
	ready      bool // requests are admitted
	sequencer  *sequencer.Core
	replicator *replicator.Core
	disk       disk
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
	packets  []packet
}

// packet is a message, or an answer for a client.
type packet struct {
	data   string // encoded; an upload is a Staged message
	answer *answer
}

// stray is the second copy of a message.
type stray struct {
	to int
	packet
}

func newWorld(scope Scope, trace *[]string) *world {
	w := &world{
		scope: scope, now: beginning, trace: trace, calm: true, checks: newChecks(),
		left: budget{scope.Lose, scope.Double, scope.Late, 0, scope.Beats, scope.Sends},
	}
	if scope.Victim != Nobody {
		w.left.disturb = 1
	}
	for n, l := range scope.Lanes {
		w.clients = append(w.clients, newClient(n, l))
	}
	for _, r := range []Role{Replicator, Sequencer, Frontend} {
		w.start(r)
	}
	for w.drainServices() {
		continue // until every service is at work
	}
	w.calm = false
	return w
}

// start starts a process. It takes an epoch above all others.
func (w *world) start(r Role) {
	p := &process{role: r, number: len(w.processes) + 1}
	w.processes = append(w.processes, p)
	w.say("%s starts", p)
	switch r {
	case Frontend:
		p.epoch = w.nextEpoch(0)
		p.frontend = frontend.NewCore(partition, p.epoch, w.scope.times())
	case Sequencer:
		p.epoch = w.nextEpoch(0)
		p.sequencer = sequencer.NewCore(partition, p.epoch, heartbeat, nil)
	case Replicator:
		s := replicator.DefaultSettings(p.String())
		s.Heartbeat, s.LaneExpiry = heartbeat, laneExpiry
		p.replicator = replicator.NewCore(partition, s)
	}
	w.tick(p)
}

func (w *world) nextEpoch(above uint64) uint64 {
	w.epochs = max(w.epochs, above) + 1
	return w.epochs
}

// die ends a process, and what is on its way to it.
func (w *world) die(p *process, why string) {
	w.say("%s ends: %s", p, why)
	*p = process{role: p.role, number: p.number, dead: true}
	w.queues = slices.DeleteFunc(w.queues, func(q *queue) bool { return q.to == p.number })
	w.strays = slices.DeleteFunc(w.strays, func(s stray) bool { return s.to == p.number })
}

func (w *world) process(number int) *process { return w.processes[number-1] }

// living returns the living processes of a role, oldest first.
func (w *world) living(r Role) []*process {
	var all []*process
	for _, p := range w.processes {
		if p.role == r && !p.dead {
			all = append(all, p)
		}
	}
	return all
}

// newest says whether no process of its role was started after this one.
func (w *world) newest(p *process) bool {
	for _, other := range w.processes[p.number:] {
		if other.role == p.role {
			return false
		}
	}
	return true
}

// send sends what a process wants to have sent.
func (w *world) send(p *process, envelopes []wire.Envelope) {
	for _, e := range envelopes {
		if m, is := e.Message.(messages.Stage); is {
			w.upload(m)
			continue
		}
		data := packet{data: string(messages.Encode(e.Message))}
		for _, to := range w.processes {
			if !to.dead && to.listens(e.Subject) {
				w.enqueue(p.number, to.number, data)
			}
		}
	}
}

func (w *world) enqueue(from, to int, p packet) {
	at, found := slices.BinarySearchFunc(w.queues, queue{from: from, to: to}, func(a *queue, b queue) int {
		return (a.from-b.from)*1000 + a.to - b.to
	})
	if !found {
		w.queues = slices.Insert(w.queues, at, &queue{from: from, to: to})
	}
	w.queues[at].packets = append(w.queues[at].packets, p)
}

// upload begins the uploads of a stage request, each on its own.
func (w *world) upload(m messages.Stage) {
	for i := range m.Batches {
		b := &m.Batches[i]
		w.checks.given[ticket{laneKey{m.Epoch, b.Lane}, b.Number}] = string(b.Payload)
		data := string(messages.Encode(messages.Staged{
			Partition: partition, Epoch: m.Epoch, Batches: []messages.StagedBatch{{
				Placeholder: messages.Placeholder{
					Lane: b.Lane, Number: b.Number, Floor: b.Floor, Records: b.Records,
					Extent: messages.Extent{Key: string(b.Payload)}, Sequence: b.Sequence,
				}, FirstUnacked: b.FirstUnacked,
			}},
		}))
		at, _ := slices.BinarySearchFunc(w.uploads, data, func(p packet, d string) int { return strings.Compare(p.data, d) })
		w.uploads = slices.Insert(w.uploads, at, packet{data: data})
	}
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
