package world

import (
	"fmt"
	"slices"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	frontend "laneway.dev/services/frontend/core"
	replicator "laneway.dev/services/replicator/core"
	stager "laneway.dev/services/stager/core"
	"laneway.dev/test/sim/check"
)

// Scheduler decides what happens next in a world. The world calls its methods to report what
// is under way. The comment of each method names the calls with which the scheduler
// completes that; a scheduler may also never complete it.
type Scheduler interface {
	// Machine returns the machine of a process that starts. Its core comes from NewFrontend,
	// NewStager, NewSequencer or NewReplicator.
	Machine(p *Process) Machine
	// Node returns the entry of the log of a partition, or an equal one that is known already.
	Node(of *Partition, n Node) *Node
	// See shows the checks what happens on a partition, by its index, and returns the first violation.
	// It may concern all partitions: check.All.
	See(now time.Time, of int, what check.Sighting) error
	// Say writes a line of the trace.
	Say(format string, args ...any)

	// Send is a message to all processes that listen to its subject, or a request to any
	// stager or archiver, which one of them gets: Deliver. One that hangs is among them, as in
	// the queue group of NATS. The slice is valid only during the call.
	Send(from *Process, to []*Process, m *Message)
	// Announce is the announcement of a stager on its way to all frontends: Deliver of a
	// stagerwatch.Alive. The slice is valid only during the call.
	Announce(stager *Process, to []*Process)
	// Reply is an answer on its way to a client: Hear.
	Reply(from *Process, a Answer)
	// TakeEpoch is the request of a process for an epoch above another one: Fenced. On partitions that
	// are not fenced it continues meanwhile.
	TakeEpoch(p *Process, above uint64)
	// Upload is an object to be stored: Deliver of what Stored returns, or of a
	// stager.Uploaded that has failed.
	Upload(p *Process, o *stager.Object)
	// Append is an append on its way to the log of a partition: AppendTo, or AppendSection in a world
	// with journals, then Result of replicator.Appended or replicator.AppendFailed.
	Append(p *Process, of *Partition, a *replicator.Append)
	// Read is a request for entries of the log: Result of a Reading, or of a replicator.LogRead in a world
	// with journals.
	Read(p *Process, of *Partition, r replicator.Read)
	// Load is a request for snapshots and the mark: Result of what Process.Loaded returns.
	Load(p *Process, of *Partition)
	// Mark is a mark on its way to its bucket: Result of what WriteMark returns.
	Mark(p *Process, of *Partition, m replicator.WriteMark)
	// Save is a snapshot on its way: Store of the evidence, then Proven, and Result of
	// replicator.Saved.
	Save(p *Process, of *Partition, s *replicator.Save)
	// AskTime is a request for the time that JetStream gave to the last entry of the log: Result of
	// what LogTime returns.
	AskTime(p *Process, of *Partition)
	// Scrub is a look at old entries: Result of replicator.Scrubbed.
	Scrub(p *Process, of *Partition)
	// Purge is a purge on its way to the log: World.Purge, then Result of replicator.Purged or
	// replicator.PurgeFailed.
	Purge(p *Process, of *Partition, what replicator.Purge)
	// Job is a job on which an archiver begins to work: the steps of NewJob, then Deliver of an
	// archiver.Finished.
	Job(p *Process, a messages.Archive)
	// Died is the end of a process.
	Died(p *Process, why string)
}

// World is a simulated deployment with the partitions of a topic, or of some. It belongs to one goroutine.
//
// A scheduler that returns to earlier worlds copies the struct, and the objects to which its
// slices of pointers lead. Everything else is never changed after it was made, as long as
// the scheduler leaves out snapshots, marks and inits.
type World struct {
	Now        time.Time
	Times      frontend.Times
	Processes  []*Process // in the order of their start; the number of a process is its index plus one
	Clients    []*Client
	Instances  []*Instance // of clients
	Registry   Registry
	Partitions []*Partition
	Journals   []*Journal // none if each log has a stream of its own
	Objects    int        // in the object store
	Generation uint64     // of objects, the newest one; 0 in a world without generations
	Archive    *Archive   // nil for a scheduler that leaves archiving out
	Sweeps     Sweeps
	Bounds     Bounds
	Violation  error
	Fetches    FetchScheduler // nil for a scheduler that leaves fetches out
	Tracing    bool           // the scheduler reads what Say writes

	truncations uint64 // that were ever requested

	topics    []protocol.Topic
	ids       []protocol.Partition // of the partitions
	subjects  [roles][]string      // of the partitions
	scheduler Scheduler
	journals  JournalScheduler
	listening []*Process // scratch
}

// Init makes an empty world. The log of each partition has the entry that creation writes.
func (w *World) Init(s Scheduler, times frontend.Times, topics ...protocol.Topic) {
	*w = World{Now: Beginning, Times: times, topics: topics, scheduler: s}
	for _, topic := range topics {
		for n := range topic.Partitions {
			w.add(topic.Partition(n))
		}
	}
}

// add adds a partition.
func (w *World) add(id protocol.Partition) {
	created := messages.Entry{TopicID: id.TopicID, Created: true, Time: Beginning.UnixNano()}
	first := Node{Entry: messages.LoggedEntry{Sequence: 1, Entry: created}, Data: messages.EncodeEntry(created), At: Beginning}
	of := &Partition{Index: len(w.Partitions), Exists: true, ID: id}
	w.Partitions, w.ids = append(w.Partitions, of), append(w.ids, id)
	w.listenTo(id)
	of.Log.Committed, of.Log.First = []*Node{w.scheduler.Node(of, first)}, 1
}

// Become makes w a copy of another world, under the scheduler s. The two change
// independently. It reuses the memory of w.
func (w *World) Become(other *World, s Scheduler) {
	old := *w
	*w = *other
	w.scheduler, w.listening = s, old.listening
	w.Processes = copies(old.Processes, other.Processes)
	w.Clients, w.Instances = copies(old.Clients, other.Clients), copies(old.Instances, other.Instances)
	w.Partitions = old.Partitions
	for len(w.Partitions) < len(other.Partitions) {
		w.Partitions = append(slices.Clip(w.Partitions), &Partition{})
	}
	for i, of := range other.Partitions {
		memory := w.Partitions[i].Log.Committed
		*w.Partitions[i] = *of
		w.Partitions[i].Log.Committed = refill(memory, of.Log.Committed)
	}
}

// refill returns a copy of a slice in the memory of another one.
func refill[T any](memory, all []T) []T { return append(memory[:0], all...) }

// copies returns copies of what pointers lead to, in the memory of others.
func copies[T any](memory, all []*T) []*T {
	memory = memory[:cap(memory)]
	for i, v := range all {
		if i == len(memory) {
			memory = append(memory, nil)
		}
		if memory[i] == nil {
			memory[i] = new(T)
		}
		*memory[i] = *v
	}
	return memory[:len(all)]
}

// See shows the checks something that happens on a partition, or on all of them.
func (w *World) See(of int, what check.Sighting) {
	if err := w.scheduler.See(w.Now, of, what); err != nil {
		w.Violated("%w", err)
	}
}

// Violated notes the first thing that must never be.
func (w *World) Violated(format string, args ...any) {
	if w.Violation == nil {
		w.Violation = fmt.Errorf(format, args...)
		w.Say("VIOLATION: %v", w.Violation)
	}
}

// Say writes a line of the trace.
func (w *World) Say(format string, args ...any) { w.scheduler.Say(format, args...) }
