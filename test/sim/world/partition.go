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

// Partition is a partition, with its log and what is kept of the log outside of it.
type Partition struct {
	Index    int  // in World.Partitions
	Exists   bool // it was created, and not deleted
	Deleted  bool // its topic
	ID       protocol.Partition
	Journal  *Journal // that has the log; nil if the log has a stream of its own
	Log      Log
	Evidence *Evidence // nil for a scheduler that leaves snapshots and marks out
}

// Share is what a process has of one partition.
type Share struct {
	Ready bool // a frontend admits requests

	unbegun   bool // the log had not begun when a replicator last looked for its mark
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

// IDs are the partitions of a world.
type IDs struct {
	All   []protocol.Partition
	Exist []int // the indexes of those that exist
}

// IDs returns the partitions.
func (w *World) IDs() IDs {
	ids := IDs{All: w.ids}
	for i, of := range w.Partitions {
		if of.Exists {
			ids.Exist = append(ids.Exist, i)
		}
	}
	return ids
}

// topicOf returns the topic of a partition as it is now.
func (w *World) topicOf(of *Partition) protocol.Topic {
	topic := w.topics[slices.IndexFunc(w.topics, func(t protocol.Topic) bool { return t.ID == of.ID.TopicID })]
	topic.Partitions = 0
	for _, o := range w.Partitions {
		if o.Exists && o.ID.TopicID == topic.ID {
			topic.Partitions++ // those that are created later are the last ones
		}
	}
	return topic
}

// Create creates the next partition. Processes that run learn of it by Added, and its log begins with Begin.
func (w *World) Create(of *Partition) {
	of.Exists = true
	w.SayOf(of, "the partition is created, of the topic with id %d", of.ID.TopicID)
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
