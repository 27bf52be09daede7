package world

import (
	"fmt"
	"slices"
	"strings"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// MostPartitions is how many partitions a world has at most.
const MostPartitions = 3

// Partition is a partition of the topic, with its log and what is kept of the log outside of it.
type Partition struct {
	Index    int // in World.Partitions
	Created  bool
	ID       protocol.Partition
	Journal  *Journal // that has the log; nil if the log has a stream of its own
	Log      Log
	Evidence *Evidence // nil for a scheduler that leaves snapshots and marks out
}

// Share is what a process has of one partition.
type Share struct {
	Ready bool // a frontend admits requests

	unfounded bool // a replicator has found no snapshot from which it can read the log
	excused   bool // it was unfounded once
	appending bool
}

// For is an event for one partition, named by its index. Messages and requests are not wrapped, because
// they name their partition, and neither are events that concern a whole process.
type For struct {
	Of    int
	Event Event
}

// Result delivers an event for a partition to a process.
func (w *World) Result(p *Process, of *Partition, e Event) { w.Deliver(p, For{of.Index, e}) }

// listenTo adds the subjects of the services of a partition.
func (w *World) listenTo(id protocol.Partition) {
	for role, subject := range map[Role]string{
		Sequencer: messages.SequencerSubject(id), Replicator: messages.ReplicatorSubject(id), Frontend: messages.CommittedSubject(id),
	} {
		if !slices.Contains(w.subjects[role], subject) {
			w.subjects[role] = append(w.subjects[role], subject)
		}
	}
}

// IDs are the partitions of a world. The first Created of them exist.
type IDs struct {
	All     []protocol.Partition
	Created int
}

// IDs returns the partitions. If some of them are created later, these are the last ones.
func (w *World) IDs() IDs {
	ids := IDs{All: w.ids}
	for ids.Created < len(w.ids) && w.Partitions[ids.Created].Created {
		ids.Created++
	}
	return ids
}

// Added is a partition that was created, by its index, for a process that runs already.
type Added struct{ Of int }

// Create creates the next partition. Processes that run learn of it by Added, and its log begins with Begin.
func (w *World) Create(of *Partition) {
	of.Created = true
	w.SayOf(of, "the partition is created")
}

// indexOf returns the index of a partition; -1 if it is not among them.
func indexOf(all []protocol.Partition, id protocol.Partition) int {
	for i := range all {
		if all[i].Number == id.Number && all[i].TopicID == id.TopicID {
			return i
		}
	}
	return -1
}

// PartitionOf returns the partition with an id.
func (w *World) PartitionOf(id protocol.Partition) *Partition {
	return w.Partitions[indexOf(w.ids, id)]
}

// violated is Violated for something that concerns one partition.
func (w *World) violated(of *Partition, format string, args ...any) {
	if len(w.Partitions) > 1 {
		format = fmt.Sprintf("partition %d: ", of.Index) + format
	}
	w.Violated(format, args...)
}

// SayOf is Say for something that concerns one partition. If there are several, the line names it.
func (w *World) SayOf(of *Partition, format string, args ...any) {
	if w.Tracing && len(w.Partitions) > 1 {
		text := strings.TrimLeft(format, " !")
		format = format[:len(format)-len(text)] + of.ID.String() + ": " + text
	}
	w.Say(format, args...)
}
