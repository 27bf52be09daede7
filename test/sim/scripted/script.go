package scripted

import (
	"fmt"
	"strings"
	"time"

	"laneway.dev/pkg/messages"
	archiver "laneway.dev/services/archiver/core"
	frontend "laneway.dev/services/frontend/core"
	"laneway.dev/services/frontend/core/stagerwatch"
	replicator "laneway.dev/services/replicator/core"
	stager "laneway.dev/services/stager/core"
	"laneway.dev/test/sim/check"
	"laneway.dev/test/sim/describe"
	"laneway.dev/test/sim/world"
)

// Times of a script. Except for the heartbeat, they are shorter than in production.
const (
	heartbeat      = 200 * time.Millisecond
	stageTimeout   = 800 * time.Millisecond
	deadline       = 4 * time.Second
	laneExpiry     = 20 * time.Second
	attemptTimeout = 1500 * time.Millisecond
)

// Script is a world that a script takes through a schedule. It belongs to one goroutine.
type Script struct {
	world.World
	checks    *check.State
	limits    *check.Limits
	archive   archiving
	way       way
	beatAt    time.Time // when processes next notice the time
	consumers []*consumer
	asleep    map[*world.Process][]func() // what a process that hangs has yet to do for fetches
	size      int                         // records of the batch that a client sends next
	stored    map[messages.Extent]check.Batch
	lines     []string // of the trace, since the last command
}

// New returns a world without processes and clients.
func New() *Script {
	limits := &check.Limits{Heartbeat: heartbeat, StageTimeout: stageTimeout, Deadline: deadline, LaneExpiry: laneExpiry, Settling: deadline}
	s := &Script{limits: limits, checks: check.New(limits, &check.Counts{}, world.Beginning), stored: map[messages.Extent]check.Batch{}, asleep: map[*world.Process][]func(){}}
	s.Init(s, frontend.Times{Heartbeat: heartbeat, StageTimeout: stageTimeout, Deadline: deadline}, world.Topic(1, 1))
	s.Fetches = s
	s.Tracing, s.beatAt = true, s.Now.Add(heartbeat)
	s.Bounds = world.Bounds{StagerBytes: 1 << 20, Producers: 1 << 10, MessageIDs: 1 << 10}
	return s
}

// run lets everything happen that does not wait for time.
func (s *Script) run() {
	for s.Violation == nil {
		i := s.way.next(s.Now)
		if i == nil {
			return
		}
		i.arrives()
	}
}

// pass lets time pass.
func (s *Script) pass(d time.Duration) {
	s.run()
	for end := s.Now.Add(d); s.Violation == nil && s.Now.Before(end); s.run() {
		s.Now = s.nextTime(end)
		if !s.Now.Before(s.beatAt) {
			s.beatAt = s.Now.Add(heartbeat)
			for _, p := range s.Processes {
				s.Tick(p)
			}
		}
		s.wakeClients()
		s.listen()
	}
}

// nextTime returns when something happens next, or the end.
func (s *Script) nextTime(end time.Time) time.Time {
	next := end
	earlier := func(at time.Time) {
		if at.After(s.Now) && at.Before(next) {
			next = at
		}
	}
	earlier(s.beatAt)
	for _, i := range s.way.items {
		earlier(i.at)
	}
	for _, i := range s.Instances {
		earlier(i.Wake)
	}
	for _, c := range s.consumers {
		earlier(c.heard.Add(silence))
	}
	return next
}

// Machine implements world.Scheduler.
func (s *Script) Machine(p *world.Process) world.Machine { return &world.Live{Core: s.core(p)} }

func (s *Script) core(p *world.Process) world.Core {
	switch p.Role {
	case world.Frontend:
		return world.NewFrontend(p.Name, p.Epoch, s.Times, 0, s.IDs())
	case world.Sequencer:
		return world.NewSequencer(p.Name, p.Epoch, heartbeat, s.IDs())
	case world.Stager:
		// Each batch is an object of its own, so that uploads end in any order.
		return world.NewStager(p.Name, stager.Settings{
			ReportEvery: heartbeat, ObjectBytes: 1 << 20, ObjectBatches: 1, Uploads: 1 << 10, MemoryBytes: int64(s.Bounds.StagerBytes),
		}, s.IDs())
	case world.Archiver:
		return world.NewArchiver(archiver.Settings{Workers: 2, Waiting: 1, ReportEvery: 2 * heartbeat})
	default:
		settings := replicator.DefaultSettings(p.Name)
		settings.Heartbeat, settings.LaneExpiry, settings.Epoch = heartbeat, laneExpiry, p.Epoch
		s.archive.set(&settings)
		return world.NewReplicator(p.Name, settings, !s.archive.on, s.IDs())
	}
}

// Node implements world.Scheduler.
func (s *Script) Node(_ *world.Partition, n world.Node) *world.Node { return &n }

// See implements world.Scheduler.
func (s *Script) See(now time.Time, _ int, what check.Sighting) error { return s.checks.See(now, what) }

// Say implements world.Scheduler.
func (s *Script) Say(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// Send implements world.Scheduler. A request to any stager or archiver goes to the oldest one.
func (s *Script) Send(from *world.Process, to []*world.Process, m *world.Message) {
	if len(to) > 1 && (to[0].Role == world.Stager || to[0].Role == world.Archiver) {
		to = to[:1]
	}
	decoded := m.Decode()
	kind := strings.TrimPrefix(fmt.Sprintf("%T", decoded), "messages.")
	for _, p := range to {
		s.start(&item{kind: kind, from: from.Name, to: p.Name, what: describe.Message(decoded), arrives: func() { s.Deliver(p, m) }})
	}
}

// Announce implements world.Scheduler.
func (s *Script) Announce(stager *world.Process, to []*world.Process) {
	for _, p := range to {
		s.start(&item{
			kind: "announcement", from: stager.Name, to: p.Name, what: "announcement",
			arrives: func() { s.Deliver(p, stagerwatch.Alive{Name: stager.Name}) },
		})
	}
}

// Reply implements world.Scheduler.
func (s *Script) Reply(from *world.Process, a world.Answer) {
	i := s.Instances[a.Instance]
	s.start(&item{
		kind: "answer", from: from.Name, to: i.String(), what: fmt.Sprintf("answer to %s: %s", a.Request, &a),
		arrives: func() { s.hear(i, a) },
	})
}

// TakeEpoch implements world.Scheduler. It happens at once.
func (s *Script) TakeEpoch(p *world.Process, above uint64) { s.Fenced(p, above) }

// Upload implements world.Scheduler.
func (s *Script) Upload(p *world.Process, o *stager.Object) {
	t := o.Batches[0].Ticket
	s.start(&item{kind: "upload", from: p.Name, what: fmt.Sprintf("upload of %s ticket %d", t.Lane, t.Number), arrives: func() {
		s.Say("  %s has uploaded %s ticket %d", p, t.Lane, t.Number)
		done := s.Stored(o, 0)
		s.stored[done.Extents[0]] = check.ReadBatch(o.Batches[0].Payload)
		s.Deliver(p, done)
	}})
}

// Append implements world.Scheduler. An append does not time out: a script that loses one,
// or its acknowledgement, must also end the replicator.
func (s *Script) Append(p *world.Process, of *world.Partition, a *replicator.Append) {
	by := p.Name
	answer := func(e world.Event, what string) {
		s.start(&item{kind: "acknowledgement", to: by, what: what, arrives: func() { s.Result(p, of, e) }})
	}
	s.start(&item{kind: "append", from: by, what: fmt.Sprintf("append of entry %d", a.Expected+1), arrives: func() {
		sequence, appended := s.AppendTo(of, by, a.Expected, a.Data)
		if !appended {
			answer(replicator.AppendFailed{Moved: true}, "refusal of an append")
			return
		}
		answer(replicator.Appended{Sequence: sequence}, fmt.Sprintf("acknowledgement of entry %d", sequence))
	}})
}

// Read implements world.Scheduler.
func (s *Script) Read(p *world.Process, of *world.Partition, r replicator.Read) {
	s.start(&item{kind: "read", from: p.Name, what: "read of the log", at: s.Now.Add(r.After), arrives: func() { s.Result(p, of, of.Log.Read(r)) }})
}

// Load implements world.Scheduler.
func (s *Script) Load(p *world.Process, of *world.Partition) { s.Result(p, of, p.Loaded(of)) }

// Died implements world.Scheduler.
func (s *Script) Died(*world.Process, string) {}
