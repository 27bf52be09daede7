package repair

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/snapshots"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// damagedWorld is a topic in the registry. The log of its first partition had 5 entries and
// 8 records, and has lost its stream; the second one has 2 entries.
func damagedWorld(t *testing.T) (*world, *topics.Registry) {
	t.Helper()
	w := emptyWorld(t)
	w.last = []uint64{1, 1}
	registry, err := topics.Open(w.ctx, w.conn, w.js)
	w.must(err)
	w.topic, err = registry.Create(w.ctx, protocol.TopicConfig{Name: "orders", Partitions: 2})
	w.must(err)
	for number := range uint64(4) {
		w.commit(0, w.stage(w.batch(0, "a", number+1))...)
	}
	w.commit(1, w.stage(w.batch(1, "a", 1))...)
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 5, Offset: 8}, Reserved: messages.Position{Sequence: 50, Offset: 500}})
	return w, registry
}

func (w *world) setMark(mark messages.Mark) {
	w.t.Helper()
	store := marks.New(w.conn, w.js)
	stored, err := store.Get(w.ctx, w.topic.Partition(0))
	w.must(err)
	_, err = store.Put(w.ctx, w.topic.Partition(0), mark, stored.Revision)
	w.must(err)
}

func (w *world) accept(ctx context.Context) (*Accepted, error) {
	return w.inspector().Accept(ctx, w.topic, 0)
}

// now returns the topic as its record says.
func (w *world) now() protocol.Topic {
	w.t.Helper()
	topic, err := topics.Lookup(w.ctx, w.conn, "orders")
	w.must(err)
	return topic
}

// logs returns all logs.
func (w *world) logs() []partitionlog.Found {
	w.t.Helper()
	all, err := partitionlog.List(w.ctx, w.conn, w.js, partitionlog.Which{})
	w.must(err)
	return all
}

// wantWhole checks that nothing is missing in the logs as they are, and returns the report.
func (w *world) wantWhole() *Report {
	w.t.Helper()
	w.topic = w.now()
	survey := w.inspect(0, 1)
	if survey.Report.Damage() {
		w.t.Errorf("damaged are %+v", survey.Report.Partitions)
	}
	return &survey.Report
}

func TestLogContinuesAboveReservation(t *testing.T) {
	w, _ := damagedWorld(t)
	w.damage(0).LoseStream()
	got, err := w.accept(w.ctx)
	w.must(err)
	if got.FirstSequence != 51 || got.NextSequence != 53 || got.NextOffset != 500 || got.Copied != 0 || len(got.GivenUp) != 1 || got.GivenUp[0].String() != "offsets 0 to 499" {
		t.Errorf("accepted is %+v", got)
	}
	report := w.wantWhole()
	if p := report.Partitions[0]; p.Incarnation != 1 || p.Log.FirstSequence != 51 || p.Log.EndOffset != 500 || p.Mark == nil || !p.Mark.Exact() || p.Mark.Written.Sequence != 52 {
		t.Errorf("partition 0 is %+v", p)
	}
	if p := report.Partitions[1]; p.Incarnation != 0 || p.Log.Entries != 2 {
		t.Errorf("partition 1 is %+v", p)
	}
}

func TestWhatCanBeReadIsKeptAndTheOldStreamSealed(t *testing.T) {
	w, _ := damagedWorld(t)
	old := w.topic.Partition(0)
	got, err := w.accept(w.ctx)
	w.must(err)
	if got.Copied != 5 || got.NextOffset != 500 || got.GivenUp[0].String() != "offsets 8 to 499" {
		t.Errorf("accepted is %+v", got)
	}
	if p := w.wantWhole().Partitions[0]; p.Log.Entries != 6 || len(p.Lanes) != 0 {
		t.Errorf("partition 0 is %+v", p)
	}
	log := partitionlog.New(w.conn, w.js, old)
	if _, err := log.Append(w.ctx, 5, messages.EncodeEntry(messages.Entry{TopicID: old.TopicID, BaseOffset: 8})); err == nil || errors.Is(err, partitionlog.ErrMoved) {
		t.Errorf("an append to the old log: %v", err)
	}
}

func TestSnapshotsOfOldStreamAreIgnored(t *testing.T) {
	w, _ := damagedWorld(t)
	saved, err := snapshots.Open(w.ctx, w.conn, w.js)
	w.must(err)
	old := w.topic.Partition(0)
	s := messages.Snapshot{TopicID: old.TopicID, Sequence: 900, NextOffset: 700, Time: 5, Producers: []messages.SnapshotProducer{{
		ProducerFence: messages.ProducerFence{ProducerID: 4711}, Batches: []messages.SnapshotBatch{{Offset: 6, First: 0, Last: 1}},
	}}}
	w.must(saved.Save(w.ctx, old, s.Sequence, 0, messages.EncodeSnapshot(s)))
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 900, Offset: 700}, Reserved: messages.Position{Sequence: 900, Offset: 700}})
	stale := old
	stale.Incarnation++ // an attempt that failed after all has left it
	w.must(saved.Save(w.ctx, stale, 5000, 0, messages.EncodeSnapshot(messages.Snapshot{TopicID: old.TopicID, Incarnation: 1, Sequence: 5000, NextOffset: 1})))
	got, err := w.accept(w.ctx)
	w.must(err)
	if got.FirstSequence != 901 || got.NextOffset != 700 {
		t.Errorf("accepted is %+v", got)
	}
	var found []messages.Snapshot
	w.must(saved.Load(w.ctx, w.now().Partition(0), func(data []byte) bool {
		s, err := messages.DecodeSnapshot(data)
		w.must(err)
		found = append(found, s)
		return false
	}))
	if len(found) != 1 || found[0].Incarnation != 1 || found[0].Sequence != got.NextSequence-1 || found[0].NextOffset != 700 ||
		len(found[0].Producers) != 1 || found[0].Producers[0].ProducerID != 4711 {
		t.Errorf("the snapshots of the new log are %+v", found)
	}
	w.wantWhole()
}

func TestLogWithoutMarkContinuesAboveMargin(t *testing.T) {
	w, _ := damagedWorld(t)
	w.must(marks.Delete(w.ctx, w.conn, w.js, w.topic.ID))
	got, err := w.accept(w.ctx)
	w.must(err)
	if got.FirstSequence < 1<<40 || got.NextOffset < 1<<40 {
		t.Errorf("accepted is %+v", got)
	}
	w.wantWhole()
}

// TestAMarkBehindTheLogCountsAsMissing uses marks that an owner cannot have left: it appends
// nothing above its reservation.
func TestAMarkBehindTheLogCountsAsMissing(t *testing.T) {
	for name, reserved := range map[string]messages.Position{
		"in sequence": {Sequence: 4, Offset: 500},
		"in offset":   {Sequence: 50, Offset: 7},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := damagedWorld(t)
			w.setMark(messages.Mark{Written: messages.Position{Sequence: 3, Offset: 4}, Reserved: reserved})
			got, err := w.accept(w.ctx)
			w.must(err)
			if got.NextOffset < 1<<40 {
				t.Errorf("accepted is %+v", got)
			}
			w.wantWhole()
		})
	}
}

func TestARecordOfADeletedTopicDoesNotHideTheLogsOfItsSuccessor(t *testing.T) {
	w, registry := damagedWorld(t)
	before := w.topic
	w.must(registry.Delete(w.ctx, "orders"))
	_, err := registry.Create(w.ctx, protocol.TopicConfig{Name: "orders", Partitions: 2})
	w.must(err)
	w.revert(before)
	if got, err := w.accept(w.ctx); !errors.Is(err, protocol.NewError(protocol.CodeLogWithoutTopic, "")) {
		t.Errorf("accepted is %+v, %v", got, err)
	}
}

// lastEpoch returns the frontend epoch of the last entry of the log.
func (w *world) lastEpoch(sequence uint64) uint64 {
	w.t.Helper()
	entries, _, err := partitionlog.New(w.conn, w.js, w.now().Partition(0)).Read(w.ctx, sequence, 1)
	w.must(err)
	return entries[0].Entry.Epoch
}

func TestAcceptFencesRunningFrontends(t *testing.T) {
	for name, lost := range map[string]bool{"ahead of the clock": false, "lost": true} {
		t.Run(name, func(t *testing.T) {
			w, _ := damagedWorld(t)
			ahead := uint64(time.Now().Add(1000 * time.Hour).Unix())
			if !lost {
				kv, err := w.js.CreateKeyValue(w.ctx, jetstream.KeyValueConfig{Bucket: "LANEWAY_EPOCHS"})
				w.must(err)
				_, err = kv.PutString(w.ctx, "frontend", fmt.Sprintf("%d instance", ahead))
				w.must(err)
			}
			got, err := w.accept(w.ctx)
			w.must(err)
			if epoch := w.lastEpoch(got.NextSequence - 1); epoch <= ahead {
				t.Errorf("the log ends with epoch %d, frontends have %d", epoch, ahead)
			}
		})
	}
}

func TestAnInterruptedAcceptanceIsRepeated(t *testing.T) {
	w, registry := damagedWorld(t)
	// What an attempt leaves that was killed before the record of the topic was written.
	inspector := w.inspector()
	a := &accepting{planning: planning{Inspector: inspector, old: w.topic.Partition(0)}, replicas: 1}
	w.must(a.open(w.ctx))
	w.must(a.log.Seal(w.ctx))
	w.must(a.gather(w.ctx))
	half, err := a.begin(w.ctx)
	w.must(err)
	w.must(half.Append(w.ctx, messages.Entry{TopicID: w.topic.ID, Created: true}))
	w.must(half.Flush(w.ctx))
	b := &accepting{planning: planning{Inspector: inspector, old: w.topic.Partition(0)}, replicas: 1}
	w.must(b.open(w.ctx))
	w.must(b.gather(w.ctx))
	whole, err := b.begin(w.ctx)
	w.must(err)
	w.must(b.fill(w.ctx, whole))

	if topic, err := topics.FromLogs(w.ctx, w.conn, w.js, "orders"); err != nil || topic.Partition(0) != w.topic.Partition(0) {
		t.Errorf("the logs tell of %+v, %v: one that no owner has used is not the log", topic, err)
	}
	got, err := w.accept(w.ctx)
	w.must(err)
	if got.LogName != messages.LogName(w.topic.Partition(0))+"_3" || got.Copied != 5 {
		t.Errorf("accepted is %+v", got)
	}
	w.wantWhole()
	w.must(registry.Delete(w.ctx, "orders"))
	if logs := w.logs(); len(logs) > 0 {
		t.Errorf("the deletion of the topic has left %s", partitionlog.Names(logs))
	}
}

func TestOfTwoAcceptancesAtTheSameTimeOneWins(t *testing.T) {
	w, _ := damagedWorld(t)
	var wait sync.WaitGroup
	errs := make([]error, 4)
	for n := range errs {
		inspector := w.inspector()
		wait.Go(func() { _, errs[n] = inspector.Accept(w.ctx, w.topic, 0) })
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case errors.Is(err, partitionlog.ErrExists):
			// In a journal, a log begins with its first entry, and another attempt has appended that first.
		case !strings.Contains(err.Error(), "by another repair") && !strings.Contains(err.Error(), "stream"):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Fatalf("%d have won: %v", won, errs)
	}
	w.wantWhole()
}

func TestDeletedTopicIsNotContinued(t *testing.T) {
	w, registry := damagedWorld(t)
	w.must(registry.Delete(w.ctx, "orders"))
	if got, err := w.accept(w.ctx); err == nil {
		t.Errorf("accepted is %+v", got)
	}
	if logs := w.logs(); len(logs) > 0 {
		t.Errorf("it has left %s", partitionlog.Names(logs))
	}
}

func TestTheLogOfATopicThatWasCreatedAgainIsNotSealed(t *testing.T) {
	w, registry := damagedWorld(t)
	w.must(registry.Delete(w.ctx, "orders"))
	again, err := registry.Create(w.ctx, protocol.TopicConfig{Name: "orders", Partitions: 2})
	w.must(err)
	// The topic is that of an inspection before.
	if got, err := w.accept(w.ctx); !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) {
		t.Errorf("accepted is %+v, %v", got, err)
	}
	log := partitionlog.New(w.conn, w.js, again.Partition(0))
	if _, err := log.Append(w.ctx, 1, messages.EncodeEntry(messages.Entry{TopicID: again.ID})); err != nil {
		t.Errorf("the log of the new topic takes nothing: %v", err)
	}
}

func TestSealsOnlyAfterEvidence(t *testing.T) {
	w, _ := damagedWorld(t)
	gone, js := embeddedtest.Start(t)
	a := &accepting{planning: planning{Inspector: w.inspector(), old: w.topic.Partition(0)}, replicas: 1}
	w.must(a.open(w.ctx))
	a.known.marks = marks.New(gone, js)
	w.must(a.compare(w.ctx))
	gone.Close()
	if err := a.prepare(w.ctx); err == nil {
		t.Error("marks that do not answer are no error")
	}
	if bounds, err := a.log.Bounds(w.ctx); err != nil || bounds.Sealed {
		t.Errorf("the log is %+v, %v", bounds, err)
	}
}

func TestContinuedLogKeepsFirstOffset(t *testing.T) {
	w, _ := damagedWorld(t)
	p := w.topic.Partition(0)
	w.damage(0).LoseStream()
	target, err := partitionlog.New(w.conn, w.js, p).Continue(w.ctx, 1, 1001)
	w.must(err)
	w.must(target.Append(w.ctx, messages.Entry{TopicID: p.TopicID, Created: true, BaseOffset: 500}))
	w.must(target.Finish(w.ctx))
	w.last[0], w.next[0] = 1001, 500
	w.commit(0, w.stage(w.batch(0, "a", 1))...)
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 1002, Offset: 502}, Reserved: messages.Position{Sequence: 1002, Offset: 502}})
	if p := w.inspect(0).Report.Partitions[0]; len(p.Findings) != 0 || p.Log.FirstOffset != 500 || p.Log.FirstSequence != 1001 {
		t.Fatalf("partition 0 is %+v", p)
	}
	w.setMark(messages.Mark{Written: messages.Position{Sequence: 1003, Offset: 503}, Reserved: messages.Position{Sequence: 1500, Offset: 600}})
	got, err := w.accept(w.ctx)
	w.must(err)
	if len(got.GivenUp) != 1 || got.GivenUp[0].String() != "offsets 502 to 599" || got.Copied != 2 {
		t.Errorf("accepted is %+v", got)
	}
	if p := w.wantWhole().Partitions[0]; p.Log.FirstOffset != 500 || p.Log.EndOffset != 600 {
		t.Errorf("partition 0 is %+v", p)
	}
}

func TestPurgedLogContinuesFromOffset0(t *testing.T) {
	w, _ := damagedWorld(t)
	w.purge(0, 4)
	if p := w.inspect(0).Report.Partitions[0]; len(p.Log.Holes) != 1 || p.Log.Holes[0].FirstSequence != 1 || p.Log.Holes[0].LastSequence != 3 {
		t.Errorf("the holes are %+v", p.Log.Holes)
	}
	got, err := w.accept(w.ctx)
	w.must(err)
	if len(got.GivenUp) != 2 || got.GivenUp[0].String() != "offsets 0 to 3" || got.Copied != 2 {
		t.Errorf("accepted is %+v", got)
	}
	w.wantWhole()
}
