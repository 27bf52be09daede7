package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const heartbeat = 200 * time.Millisecond

var (
	start      = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	partition0 = protocol.Partition{Topic: "orders", TopicID: 77, Number: 0}
)

// sequencerEpoch is the epoch of the sequencer under test, frontend that of the frontend it hears.
const (
	sequencerEpoch = 5
	frontend       = 10
)

// rig is a log with one partition, and a clock that only the test moves.
type rig struct {
	t    *testing.T
	log  *Log
	core *Core // of the partition
	now  time.Time
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, now: start}
	r.begin(sequencerEpoch)
	return r
}

// begin begins anew, as a sequencer of an epoch that knows nothing.
func (r *rig) begin(epoch uint64) {
	r.log = NewLog(epoch, heartbeat)
	r.step(Added{partition0})
	r.core = r.log.cores.All()[0].Core
}

// step hands over events that came together, and returns what is sent.
func (r *rig) step(events ...Event) sent { return r.effects(events...).Send }

func (r *rig) effects(events ...Event) Effects { return r.log.Step(r.now, events) }

func (r *rig) wait(d time.Duration) { r.now = r.now.Add(d) }

// idle lets heartbeats pass without a message.
func (r *rig) idle(beats int) {
	r.t.Helper()
	for range beats {
		r.wait(heartbeat)
		r.silent("an idle heartbeat", r.step())
	}
}

func (r *rig) silent(what string, s sent) {
	r.t.Helper()
	want(r.t, what, s, nil)
}

// sent is what a step sends.
type sent []messages.Envelope

// releases returns the tickets handed to the replicator, in order, as lane:number.
func (s sent) releases() []string {
	var list []string
	for _, r := range s.messages(messages.ReplicatorSubject(partition0)) {
		for _, b := range r.(messages.Release).Batches {
			list = append(list, fmt.Sprintf("%s:%d", b.Lane, b.Number))
		}
	}
	return list
}

// messages returns the messages sent to a subject.
func (s sent) messages(subject string) []messages.Message {
	var list []messages.Message
	for _, e := range s {
		if e.Subject == subject {
			list = append(list, e.Message)
		}
	}
	return list
}

// toFrontend returns the messages sent to the frontend of an epoch.
func (s sent) toFrontend(epoch uint64) []messages.Message {
	return s.messages(messages.FrontendSubject(partition0, epoch))
}

func want[T any](t *testing.T, what string, got, expected T) {
	t.Helper()
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// batch is a staged batch with an extent of its own.
func batch(lane string, number, floor uint64) messages.StagedBatch {
	return messages.StagedBatch{
		Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: lane, Number: number}, Floor: floor, Records: 1}},
		Extent:     messages.Extent{Key: "objects/0/" + lane, Offset: int64(number), Length: 1, CRC: uint32(number)},
	}
}

func stagedBy(epoch uint64, batches ...messages.StagedBatch) messages.Staged {
	return messages.Staged{Partition: partition0, Epoch: epoch, Batches: batches}
}

func staged(batches ...messages.StagedBatch) messages.Staged { return stagedBy(frontend, batches...) }

func advance(lanes ...messages.LaneProgress) messages.Advance {
	return messages.Advance{Partition: partition0, Epoch: frontend, Lanes: lanes}
}

func progress(lane string, floor, highest uint64) messages.LaneProgress {
	return messages.LaneProgress{Lane: lane, Floor: floor, Highest: highest}
}

func hello(term uint64) messages.Hello { return messages.Hello{Partition: partition0, Term: term} }

func announce(epoch uint64) messages.Announce {
	return messages.Announce{Partition: partition0, Epoch: epoch}
}

func missing(lane string, numbers ...uint64) []messages.Message {
	return []messages.Message{messages.Missing{
		Partition: partition0, Epoch: frontend, Lanes: []messages.LaneNumbers{{Lane: lane, Numbers: numbers}},
	}}
}
