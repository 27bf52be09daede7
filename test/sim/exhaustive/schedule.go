package exhaustive

import (
	"fmt"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	replicator "laneway.dev/services/replicator/core"
	stager "laneway.dev/services/stager/core"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/world"
)

// schedule is a world at some point of a schedule, with what is under way in it. It belongs
// to one goroutine. Objects behind its pointers and slices are never changed, so that copies
// can share them. The exceptions are those that become copies.
type schedule struct {
	world.World
	memo  *memo
	scope *Scope
	trace *[]string // nil if it is not read

	beats int // heartbeats that have passed
	left  budget
	sends int  // requests that may still be sent
	calm  bool // faults have ended

	queues  []queue
	uploads []*world.Message // results of uploads, which end in any order
	ended   []*world.Message // those that may come a second time
	late    []*appending
	sides   []side   // of processes
	senders []sender // of clients
	checks  *seen
}

// budget is what may still go wrong.
type budget struct{ lose, double, late, disturb, beats int }

// side is what is under way at a process.
type side struct {
	append *appending
	read   replicator.Read  // without a limit it is none
	acked  uint64           // an append has landed there, and its acknowledgement is on its way
	failed bool             // an append was refused, and that is on its way
	had    []*world.Message // what has arrived, and may come a second time
}

// busy reports whether a replicator has something under way with the log: one thing at most.
func (d *side) busy() bool { return d.append != nil || d.read.Limit > 0 || d.acked != 0 || d.failed }

// sender is an idempotent client. Nothing of it matters to a plain one.
type sender struct {
	flying uint64 // a bit for each batch that has an attempt without an answer, as far as the client knows
	broken bool   // it has yet to notice that its frontend has ended
}

// queue holds what is under way from one process to another, or to one client. It keeps the
// order of sending, as a connection does.
type queue struct {
	from, to int // numbers of processes; -1-n is client n
	items    []item
}

// item is a message, or an answer for a client.
type item struct {
	message *world.Message
	answer  *reply
}

func newSchedule(m *memo, scope *Scope, trace *[]string) *schedule {
	s := &schedule{memo: m, scope: scope, trace: trace, calm: true}
	s.checks = m.check(check.New(scope.limits(), &check.Counts{}, world.Beginning))
	s.Init(s, scope.times(), world.Topic(1, 1))
	s.Tracing = trace != nil
	s.Bounds.Producers = len(scope.Lanes)
	for n, l := range scope.Lanes {
		s.addClient(n, l)
	}
	for _, r := range []world.Role{world.Replicator, world.Sequencer, world.Frontend} {
		s.start(r)
	}
	for s.drainServices() {
		continue // until every service is at work
	}
	s.left = budget{scope.Lose, scope.Double, scope.Late, 0, scope.Beats}
	if scope.Victim != world.NoRole {
		s.left.disturb = 1
	}
	s.calm, s.sends = false, scope.Sends
	return s
}

func (s *schedule) start(r world.Role) {
	s.sides = append(s.sides, side{})
	s.Tick(s.Start(r, 0))
}

// become makes s a copy of another schedule. The two change independently. It reuses the
// memory of s.
func (s *schedule) become(other *schedule) {
	old := *s
	*s = *other
	s.World = old.World
	s.Become(&other.World, s)
	s.queues = reuse(old.queues, other.queues)
	s.uploads = reuse(old.uploads, other.uploads)
	s.late = reuse(old.late, other.late)
	s.sides = reuse(old.sides, other.sides)
	s.senders = reuse(old.senders, other.senders)
}

func reuse[T any](memory, all []T) []T { return append(memory[:0], all...) }

// Machine implements world.Scheduler.
func (s *schedule) Machine(p *world.Process) world.Machine {
	key := struct {
		role   world.Role
		number int
		epoch  uint64
	}{p.Role, p.Number, p.Epoch}
	return s.memo.root(key, func() world.Core {
		switch p.Role {
		case world.Frontend:
			return world.NewFrontend(p.Name, key.epoch, s.Times, 0, s.IDs())
		case world.Sequencer:
			return world.NewSequencer(p.Name, key.epoch, heartbeat, s.IDs())
		default:
			settings := replicator.DefaultSettings(p.Name)
			settings.Heartbeat, settings.LaneExpiry, settings.Epoch = heartbeat, laneExpiry, key.epoch
			if s.scope.Archive {
				settings.ArchiveBytes, settings.ArchiveAge, settings.JobSilence = 1, 0, time.Hour // each batch is due at once
			}
			return world.NewReplicator(p.Name, settings, true, s.IDs())
		}
	})
}

// Node implements world.Scheduler.
func (s *schedule) Node(_ *world.Partition, n world.Node) *world.Node { return s.memo.node(n) }

// Send implements world.Scheduler. It replaces a request to stage and a job by the uploads that
// they start, which end in any order.
func (s *schedule) Send(from *world.Process, to []*world.Process, m *world.Message) {
	if len(to) == 0 {
		for _, result := range s.memo.results(m) {
			s.uploads = insert(s.uploads, result)
		}
	}
	for _, p := range to {
		s.enqueue(from.Number, p.Number, item{message: m})
	}
}

// Reply implements world.Scheduler. A plain client gets its answer at once, because it does
// nothing in response.
func (s *schedule) Reply(from *world.Process, a world.Answer) { s.reply(from.Number, a) }

func (s *schedule) reply(from int, a world.Answer) {
	if c := s.Instances[a.Instance]; c.Window == nil {
		s.Hear(a)
	} else {
		s.enqueue(from, -1-c.Client, item{answer: s.memo.answer(a)})
	}
}

// TakeEpoch implements world.Scheduler. It happens at once.
func (s *schedule) TakeEpoch(p *world.Process, above uint64) { s.Fenced(p, above) }

// Append implements world.Scheduler.
func (s *schedule) Append(p *world.Process, _ *world.Partition, a *replicator.Append) {
	s.side(p).append = s.memo.appending(p.Name, a)
}

// Read implements world.Scheduler.
func (s *schedule) Read(p *world.Process, _ *world.Partition, r replicator.Read) {
	r.After = 0 // the choices say when
	s.side(p).read = r
}

// Load implements world.Scheduler. It happens at once.
func (s *schedule) Load(p *world.Process, of *world.Partition) { s.Result(p, of, p.Loaded(of)) }

// Died implements world.Scheduler. What is on its way to a process ends with it.
func (s *schedule) Died(p *world.Process, _ string) {
	*s.side(p) = side{}
	s.queues = slices.DeleteFunc(s.queues, func(q queue) bool { return q.to == p.Number })
}

// Announce, Upload, Mark, Scrub, Purge and Job implement world.Scheduler. There are no stagers,
// archivers, snapshots and marks.
func (s *schedule) Announce(*world.Process, []*world.Process) { panic("there are no stagers") }
func (s *schedule) Upload(*world.Process, *stager.Object)     { panic("there are no stagers") }

func (s *schedule) Mark(*world.Process, *world.Partition, replicator.WriteMark) {
	panic("there are no marks")
}

func (s *schedule) AskTime(*world.Process, *world.Partition) { panic("there is no retention") }

func (s *schedule) Scrub(*world.Process, *world.Partition) { panic("there are no snapshots") }

func (s *schedule) Purge(*world.Process, *world.Partition, replicator.Purge) {
	panic("there are no snapshots")
}

func (s *schedule) Job(*world.Process, messages.Archive) { panic("there are no archivers") }

// Save implements world.Scheduler. No snapshot can be stored.
func (s *schedule) Save(p *world.Process, of *world.Partition, n *replicator.Save) {
	s.Result(p, of, replicator.Saved{Sequence: n.Sequence, Failed: true})
}

// See implements world.Scheduler. The result of a sighting depends only on the earlier ones
// and on its time, so each case is checked once.
func (s *schedule) See(now time.Time, _ int, what check.Sighting) (err error) {
	s.checks, err = s.memo.see(s.checks, now, what)
	return err
}

// Say implements world.Scheduler.
func (s *schedule) Say(format string, args ...any) {
	if s.trace != nil {
		*s.trace = append(*s.trace, fmt.Sprintf(format, args...))
	}
}

// only returns the only partition.
func (s *schedule) only() *world.Partition { return s.Partitions[0] }

// log returns that of the only partition.
func (s *schedule) log() *world.Log { return &s.Partitions[0].Log }

func (s *schedule) process(number int) *world.Process { return s.Processes[number-1] }

func (s *schedule) side(p *world.Process) *side { return &s.sides[p.Number-1] }

func (s *schedule) enqueue(from, to int, i item) {
	at, found := slices.BinarySearchFunc(s.queues, queue{from: from, to: to}, func(a, b queue) int {
		return (a.from-b.from)*1000 + a.to - b.to
	})
	if !found {
		s.queues = slices.Insert(s.queues, at, queue{from: from, to: to})
	}
	q := &s.queues[at]
	q.items = append(slices.Clip(q.items), i)
}
