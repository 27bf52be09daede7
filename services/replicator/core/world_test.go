package core_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
	"laneway.dev/services/replicator/core/partition"
)

var orders = protocol.Partition{Topic: "orders", TopicID: 77, Number: 3}

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a partition's log and the time, shared by the owners that compete
// for it. It belongs to one goroutine.
type world struct {
	t        failer
	now      time.Time
	log      []core.LoggedEntry
	settings core.Settings
	started  uint64 // owners: the epoch of the newest one
	// snapshots are as they were stored, by the sequence that they cover.
	snapshots map[uint64][]byte
	// streamEnd is the last sequence that the stream claims to have.
	streamEnd uint64
	sealed    bool   // the stream takes no appends
	suspect   bool   // messages of the stream are lost behind the last entry
	trouble   string // why snapshots cannot be looked for
	// mark is the partition's mark. Unless marked is set, owners find one that says
	// where the log ends, so that they leave nothing out.
	mark   core.FoundMark
	marked bool
}

func newWorld(t failer) *world {
	w := &world{
		t: t, now: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC),
		settings: core.Settings{
			Settings: partition.Settings{
				Heartbeat: 200 * time.Millisecond, LaneExpiry: 10 * time.Second, IDWindow: 2 * time.Minute,
				MaxIDs: 1000, MaxLanes: 1000, MaxNameBytes: 1 << 20, Limits: core.Limits{ProducerExpiry: 24 * time.Hour, MaxProducers: 1000},
				TailBytes: 64 << 20, TailBatches: 1_000_000, JobSilence: 10 * time.Second, GiveUpTime: time.Hour,
			},
			EntryItems: 1000, EntryBytes: 1 << 20, EntryPayload: 1 << 20, ReadEntries: 100, SnapshotEvery: 1 << 40, PurgeEntries: 256,
		},
		snapshots: map[uint64][]byte{},
	}
	w.put(messages.Entry{TopicID: orders.TopicID, Created: true})
	return w
}

// found returns the mark that an owner finds.
func (w *world) found() core.FoundMark {
	if w.marked || len(w.log) == 0 {
		return w.mark
	}
	last := &w.log[len(w.log)-1]
	end := messages.Position{Sequence: last.Sequence, Offset: last.Entry.NextOffset()}
	return core.FoundMark{Mark: messages.Mark{Written: end, Reserved: end}, Revision: w.mark.Revision, Exists: true}
}

// keepMark writes a mark, if its revision is the expected one.
func (w *world) keepMark(m *core.WriteMark) (written bool) {
	if w.marked && m.Revision != w.mark.Revision {
		return false
	}
	w.mark = core.FoundMark{Mark: m.Mark, Revision: w.mark.Revision + 1, Exists: true}
	return true
}

// keep stores a snapshot, and removes those that its owner does not keep.
func (w *world) keep(s *core.Save) {
	w.snapshots[s.Sequence] = messages.EncodeSnapshot(s.Snapshot)
	maps.DeleteFunc(w.snapshots, func(sequence uint64, _ []byte) bool { return sequence < s.Keep })
}

// stored returns the snapshots that can be read, newest first.
func (w *world) stored() []messages.Snapshot {
	var all []messages.Snapshot
	for _, sequence := range slices.Backward(slices.Sorted(maps.Keys(w.snapshots))) {
		if s, err := messages.DecodeSnapshot(w.snapshots[sequence]); err == nil {
			all = append(all, s)
		}
	}
	return all
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

// land appends if nothing was appended since the expected sequence, as the
// stream's compare-and-set does.
func (w *world) land(a *core.Append) (sequence uint64, landed bool) {
	w.t.Helper()
	if a.Expected != w.streamEnd {
		return 0, false
	}
	entry, err := messages.DecodeEntry(a.Data)
	if err != nil {
		w.t.Fatalf("the entry to append cannot be read: %v", err)
	}
	w.put(entry)
	return w.streamEnd, true
}

// put writes an entry whatever the owners think.
func (w *world) put(entry messages.Entry) {
	w.streamEnd++
	w.log = append(w.log, core.LoggedEntry{Sequence: w.streamEnd, Entry: entry})
}

// purge removes the entries below a sequence.
func (w *world) purge(below uint64) {
	w.log = slices.DeleteFunc(w.log, func(e core.LoggedEntry) bool { return e.Sequence < below })
}

// end returns the offset that follows the log's last record, and checks that
// offsets are dense but for recorded gaps.
func (w *world) end() int64 {
	w.t.Helper()
	var next int64
	for _, e := range w.log {
		if e.Entry.BaseOffset-e.Entry.Gap != next {
			w.t.Fatalf("entry %d starts at offset %d behind a gap of %d, the one before ends at %d",
				e.Sequence, e.Entry.BaseOffset, e.Entry.Gap, next)
		}
		next = e.Entry.NextOffset()
	}
	return next
}

// ticket identifies a batch of the orders.
type ticket struct {
	epoch  uint64
	lane   string
	number uint64
}

// find returns the base offsets at which a ticket stands in the log.
func (w *world) find(id ticket) []int64 {
	var found []int64
	for _, e := range w.log {
		offset := e.Entry.BaseOffset
		for _, p := range e.Entry.Batches {
			if (ticket{e.Entry.Epoch, p.Lane, p.Number}) == id {
				found = append(found, offset)
			}
			offset += int64(p.Records)
		}
	}
	return found
}

// numbers returns the ticket numbers of a lane in the order of the log.
func (w *world) numbers(lane string) []uint64 {
	var numbers []uint64
	for _, e := range w.log {
		for _, p := range e.Entry.Batches {
			if p.Lane == lane {
				numbers = append(numbers, p.Number)
			}
		}
	}
	return numbers
}

func (w *world) expectNumbers(lane string, want ...uint64) {
	w.t.Helper()
	if got := w.numbers(lane); !slices.Equal(got, want) {
		w.t.Fatalf("the log has the numbers %v of lane %s, want %v", got, lane, want)
	}
}

// batch returns a staged batch whose floor is its own number.
func batch(lane string, number uint64) messages.StagedBatch {
	return messages.StagedBatch{
		Submission: messages.Submission{Batch: messages.Batch{Ticket: messages.Ticket{Lane: lane, Number: number}, Floor: number, Records: uint32(1 + number%3)}},
		Extent:     messages.Extent{Key: "object", Offset: int64(number), Length: 10, CRC: 1},
	}
}

// batches returns batches of a lane with the numbers from first to last, of
// which none is resolved.
func batches(lane string, first, last uint64) []messages.StagedBatch {
	var all []messages.StagedBatch
	for n := first; n <= last; n++ {
		all = append(all, floored(batch(lane, n), first))
	}
	return all
}

func floored(b messages.StagedBatch, floor uint64) messages.StagedBatch {
	b.Floor = floor
	return b
}

func named(b messages.StagedBatch, id string) messages.StagedBatch {
	b.MessageID = id
	return b
}

// release is what the first sequencer hands over of the first frontend's batches.
func release(all ...messages.StagedBatch) messages.Release {
	return messages.Release{Partition: orders, Epoch: 1, SequencerEpoch: 1, Batches: all}
}

// leader returns an owner that leads, with its greetings taken.
func (w *world) leader(name string) *owner {
	o := w.start(name)
	o.settle()
	o.take()
	return o
}

func newLeader(t *testing.T) (*world, *owner) {
	w := newWorld(t)
	o := w.leader("first")
	return w, o
}
