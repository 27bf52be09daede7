package replicator_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/marks"
	"laneway.dev/internal/membership"
	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/service"
	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator"
)

const bound = time.Minute

// rig is a server with a topic of one partition, and what its services would do.
type rig struct {
	t        *testing.T
	ctx      context.Context
	server   *embedded.Server
	conn     *nats.Conn
	js       jetstream.JetStream
	registry *topics.Registry
	id       protocol.Partition
	outcomes chan messages.Message // to the frontend of epoch 1, and to all frontends
	logs     *observer.ObservedLogs
	logger   *zap.Logger
	archive  int64       // bytes of payload that replicators archive at a time
	started  int         // replicators
	hangs    atomic.Bool // whether they hang, as far as their membership knows
}

func newRig(t *testing.T) *rig {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	r := &rig{t: t, ctx: ctx, outcomes: make(chan messages.Message, 1000)}
	var err error
	r.server, err = embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, r.server.Shutdown()) })
	r.conn = r.connect()
	r.js, err = jetstream.New(r.conn)
	must(t, err)
	core, logs := observer.New(zapcore.WarnLevel)
	r.logs, r.logger = logs, zap.New(core)
	if r.registry, err = topics.Open(ctx, r.conn, r.js); err != nil {
		t.Fatal(err)
	}
	topic, err := r.registry.Create(ctx, protocol.TopicConfig{Name: "orders", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.id = topic.Partition(0)
	for _, subject := range []string{messages.FrontendSubject(r.id, 1), messages.CommittedSubject(r.id)} {
		if _, err := r.conn.Subscribe(subject, r.receive); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *rig) receive(m *nats.Msg) {
	if err := messages.DecodeParcel(m.Data, func(m messages.Message) { r.outcomes <- m }); err != nil {
		r.t.Errorf("a message cannot be read: %v", err)
	}
}

// start starts a replicator, which the test must stop.
func (r *rig) start() *replicator.Service {
	r.t.Helper()
	return r.startOn(r.conn)
}

// startOn starts a replicator with a connection of its own.
func (r *rig) startOn(conn *nats.Conn) *replicator.Service {
	r.t.Helper()
	r.started++
	tel, err := telemetry.Setup(r.ctx, "replicator", "test")
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := replicator.Start(r.ctx, replicator.Config{
		Config: service.Config{Conn: conn, Logger: r.logger, Telemetry: tel}, SnapshotEntries: 2, ArchiveBytes: r.archive,
		Membership: membership.Config{
			Instance: fmt.Sprint("r", r.started), Turns: func() bool { return !r.hangs.Load() },
			TTL: time.Second, // that of JetStream is at least a second
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			r.t.Error(err)
		}
	})
	return s
}

func (r *rig) stop(s *replicator.Service) {
	r.t.Helper()
	if err := s.Stop(r.ctx); err != nil {
		r.t.Fatal(err)
	}
}

// await waits for what no event tells.
func (r *rig) await(what string, reached func() bool) {
	r.t.Helper()
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for !reached() {
		select {
		case <-pace.C:
		case <-r.ctx.Done():
			r.t.Fatalf("not reached: %s. Logged: %v", what, r.logs.All())
		}
	}
}

func (r *rig) awaitReady(s *replicator.Service) {
	r.t.Helper()
	r.await("ready", func() bool { return s.Check(r.ctx) == nil })
}

// commit releases a batch until it is in the log, and returns its offset.
func (r *rig) commit(number uint64) int64 {
	r.t.Helper()
	data := messages.Encode(messages.Release{Partition: r.id, Epoch: 1, SequencerEpoch: 1, Batches: []messages.StagedBatch{{
		Submission: messages.Submission{Batch: messages.Batch{
			Ticket: messages.Ticket{Lane: "a", Number: number}, Floor: number, Records: 2,
		}},
		Extent: messages.Extent{Key: "object", Length: 10, CRC: 1},
	}}})
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		if err := r.conn.Publish(messages.ReplicatorSubject(r.id), data); err != nil {
			r.t.Fatal(err)
		}
		select {
		case m := <-r.outcomes:
			if offset, found := offsetOf(r.t, m, number); found && m.Of() == r.id {
				return offset
			}
		case <-again.C:
		case <-r.ctx.Done():
			r.t.Fatalf("batch %d is not committed. Logged: %v", number, r.logs.All())
		}
	}
}

// offsetOf returns the offset that a message gives to a batch.
func offsetOf(t *testing.T, m messages.Message, number uint64) (int64, bool) {
	t.Helper()
	switch m := m.(type) {
	case messages.Outcomes:
		for _, o := range m.Outcomes {
			if o.Number == number && o.Code == protocol.CodeOK {
				return o.Offset, true
			}
		}
	case messages.Committed:
		entry, err := messages.DecodeEntry(m.Entry)
		if err != nil {
			t.Fatal(err)
		}
		offset := entry.BaseOffset
		for _, b := range entry.Batches {
			if b.Number == number {
				return offset, true
			}
			offset += int64(b.Records)
		}
	}
	return 0, false
}

// term appends the term record of another owner, which skips some offsets.
func (r *rig) term(epoch uint64, skips int64) {
	r.t.Helper()
	log := partitionlog.New(r.conn, r.js, r.id)
	bounds, err := log.Bounds(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	entries, _, err := log.Read(r.ctx, bounds.Last, 1)
	if err != nil || len(entries) != 1 {
		r.t.Fatalf("read entry %d: %v", bounds.Last, err)
	}
	entry := messages.Entry{
		TopicID: r.id.TopicID, Owner: "other", OwnerEpoch: epoch, BaseOffset: entries[0].Entry.NextOffset() + skips, Time: time.Now().UnixNano(),
	}
	if _, err := log.Append(r.ctx, bounds.Last, messages.EncodeEntry(entry)); err != nil {
		r.t.Fatal(err)
	}
}

func TestCommitsAndContinuesAfterARestart(t *testing.T) {
	r := newRig(t)
	s := r.start()
	r.awaitReady(s)
	for n := range int64(5) {
		if got := r.commit(uint64(n) + 1); got != 2*n {
			t.Fatalf("batch %d is at offset %d, want %d", n+1, got, 2*n)
		}
	}
	r.await("a snapshot", func() bool { return s.Stats().Snapshots > 0 })
	r.stop(s)
	store := marks.New(r.conn, r.js)
	if m, err := store.Get(r.ctx, r.id); err != nil || !m.Mark.Exact() || m.Mark.Written.Offset != 10 {
		t.Errorf("after a clean stop the mark is %+v (%v), want an exact one at offset 10", m, err)
	}

	next := r.start()
	defer r.stop(next)
	r.awaitReady(next)
	if got := r.commit(6); got != 10 {
		t.Errorf("after a restart batch 6 is at offset %d, want 10", got)
	}
	if got := next.Stats(); got.Gap != 0 || got.Replayed > 8 {
		t.Errorf("after a clean stop and a snapshot: %+v", got)
	}
	if n := r.logs.FilterMessageSnippet("read-only").Len(); n != 0 {
		t.Errorf("damage is reported: %v", r.logs.All())
	}
}

func TestTakesAnEpochAboveThatOfTheLog(t *testing.T) {
	r := newRig(t)
	s := r.start()
	defer r.stop(s)
	r.awaitReady(s)
	r.commit(1)
	before := r.epoch()
	r.term(before+7, 0) // of an owner whose epoch the record has forgotten
	r.commit(2)
	if after := r.epoch(); after <= before+7 {
		t.Errorf("the newest epoch is %d, want one above %d", after, before+7)
	}
}

// epoch returns that of the newest term record in the log.
func (r *rig) epoch() (newest uint64) {
	r.t.Helper()
	log := partitionlog.New(r.conn, r.js, r.id)
	bounds, err := log.Bounds(r.ctx)
	must(r.t, err)
	for from := bounds.First; from <= bounds.Last; {
		entries, _, err := log.Read(r.ctx, from, 100)
		must(r.t, err)
		for _, e := range entries {
			if e.Entry.Owner != "" {
				newest = e.Entry.OwnerEpoch
			}
			from = e.Sequence + 1
		}
	}
	return newest
}

// connect opens a connection for a replicator of its own.
func (r *rig) connect() *nats.Conn {
	r.t.Helper()
	conn, err := r.server.Connect(transport.Options("test", zap.NewNop())...)
	must(r.t, err)
	r.t.Cleanup(conn.Close)
	return conn
}

// awaitShares returns when each replicator owns so many logs.
func (r *rig) awaitShares(want map[string]int) {
	r.t.Helper()
	r.await(fmt.Sprint("shares ", want), func() bool {
		got := make(map[string]int)
		all, err := membership.List(r.ctx, r.js)
		must(r.t, err)
		for _, m := range all {
			if !m.Gone {
				got[m.Instance] = len(m.Logs)
			}
		}
		return maps.Equal(got, want)
	})
}

func TestReplicatorsShareTheLogsWithoutLeavingOffsetsOut(t *testing.T) {
	r := newRig(t)
	all := r.partitions(12)
	a := r.start()
	defer r.stop(a)
	for _, id := range all {
		r.commitTo(id)
	}
	b := r.start()
	defer r.stop(b)
	r.awaitShares(map[string]int{"r1": 2, "r2": 2})
	for _, id := range all {
		r.id = id
		if got := r.commit(2); got != 2 {
			t.Errorf("the second batch of %s is at offset %d, want 2", id, got)
		}
	}
	if got := b.Stats(); got.Gap != 0 || got.Batches == 0 || got.Batches+a.Stats().Batches != 24 {
		t.Errorf("%d and %d batches were committed, and %d offsets were left out", a.Stats().Batches, got.Batches, got.Gap)
	}
}

func TestLogsOfAReplicatorThatStopsGoToAnotherOneWithExactMarks(t *testing.T) {
	r := newRig(t)
	all := r.partitions(12)
	a := r.start()
	b := r.start()
	defer r.stop(b)
	r.awaitShares(map[string]int{"r1": 2, "r2": 2})
	for _, id := range all {
		r.commitTo(id)
	}
	r.stop(a) // soon, so that offsets are reserved
	r.awaitShares(map[string]int{"r2": 4})
	for _, id := range all {
		r.id = id
		if got := r.commit(2); got != 2 {
			t.Errorf("the second batch of %s is at offset %d, want 2", id, got)
		}
	}
	if got := b.Stats().Gap; got != 0 {
		t.Errorf("%d offsets were left out", got)
	}
}

func TestLogsOfAReplicatorThatIsCutOffAreTakenOver(t *testing.T) {
	r := newRig(t)
	conn := r.connect()
	a := r.startOn(conn)
	r.awaitReady(a)
	r.commit(1)
	b := r.start()
	defer r.stop(b)
	r.awaitShares(map[string]int{"r1": 2, "r2": 2})
	conn.Close()
	r.awaitShares(map[string]int{"r2": 4})
	if got := r.commit(2); got < 2 {
		t.Errorf("batch 2 is at offset %d", got)
	}
	r.awaitReady(b)
	_ = a.Stop(r.ctx) // its connection is closed
}

func TestMarkOfAnotherOwnerMakesItLookAgain(t *testing.T) {
	r := newRig(t)
	s := r.start()
	defer r.stop(s)
	r.awaitReady(s)
	r.commit(1)
	store := marks.New(r.conn, r.js)
	terms := s.Stats().Terms
	r.await("the mark is moved", func() bool {
		m, err := store.Get(r.ctx, r.id)
		if err != nil {
			t.Fatal(err)
		}
		m.Mark.Owner = "other"
		_, err = store.Put(r.ctx, r.id, m.Mark, m.Revision)
		return err == nil
	})
	r.await("a new term", func() bool { return s.Stats().Terms > terms })
	r.commit(2)
}

func TestHoleInTheLogMakesThePartitionReadOnly(t *testing.T) {
	r := newRig(t)
	r.term(1, 5) // without saying that it leaves offsets out
	s := r.start()
	defer r.stop(s)
	r.await("damage", func() bool {
		return errors.Is(s.Check(r.ctx), protocol.NewError(protocol.CodePartitionDamaged, "")) && s.Stats().Damaged == 1
	})
	r.await("a report", func() bool { return r.logs.FilterMessageSnippet("the partition is read-only").Len() == 1 })
}

func TestAnInstanceThatOthersTakeForDeadClaimsNothingAndCallsNothingDamaged(t *testing.T) {
	r := newRig(t)
	r.term(1, 5) // without saying that it leaves offsets out
	s := r.start()
	defer r.stop(s)
	damaged := func() bool { return errors.Is(s.Check(r.ctx), protocol.NewError(protocol.CodePartitionDamaged, "")) }
	r.await("damage", damaged)
	reports := func() (n int) {
		for {
			select {
			case m := <-r.outcomes:
				if _, is := m.(messages.ReadOnly); is {
					n++
				}
			default:
				return n
			}
		}
	}
	r.await("a report", func() bool { return reports() > 0 })

	r.hangs.Store(true)
	r.await("others to take it for dead", func() bool {
		return errors.Is(s.Check(r.ctx), protocol.NewError(protocol.CodeUnavailable, ""))
	})
	reports()
	_, err := r.registry.Create(r.ctx, protocol.TopicConfig{Name: "later", Partitions: 1})
	must(t, err)
	for after := time.After(3 * time.Second); after != nil; { // reports come every second
		select {
		case m := <-r.outcomes:
			if _, is := m.(messages.ReadOnly); is {
				t.Error("it has reported damage")
			}
		case <-after:
			after = nil
		}
	}
	if terms := s.Stats().Terms; terms != 0 {
		t.Errorf("it has claimed %d logs", terms)
	}
	r.hangs.Store(false)
	r.await("a claim", func() bool { return s.Stats().Terms > 0 })
	r.await("a report", func() bool { return reports() > 0 })
}

func TestLogOfADeletedTopicIsNotReported(t *testing.T) {
	r := newRig(t)
	s := r.start()
	defer r.stop(s)
	r.awaitReady(s)
	r.commit(1)
	if err := r.registry.Delete(r.ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	r.await("the owner ends", func() bool { return s.Stats().Term == 0 && s.Stats().Lanes == 0 })
	for _, e := range r.logs.All() {
		if strings.Contains(e.Message, "read-only") || strings.Contains(e.Message, "accepts no appends") {
			t.Errorf("logged: %s", e.Message)
		}
	}
}

// partitions creates a topic of so many partitions, and returns them. What is committed to any of them
// is received as the outcomes of the rig.
func (r *rig) partitions(n int) []protocol.Partition {
	r.t.Helper()
	topic, err := r.registry.Create(r.ctx, protocol.TopicConfig{Name: "many", Partitions: n})
	must(r.t, err)
	all := make([]protocol.Partition, n)
	subjects := map[string]bool{messages.CommittedSubject(r.id): true}
	for i := range all {
		all[i] = topic.Partition(i)
		subject := messages.CommittedSubject(all[i])
		if subjects[subject] {
			continue
		}
		subjects[subject] = true
		_, err := r.conn.Subscribe(subject, r.receive)
		must(r.t, err)
	}
	return all
}

// commitTo commits the first batch of a partition.
func (r *rig) commitTo(id protocol.Partition) {
	r.t.Helper()
	before := r.id
	r.id = id
	defer func() { r.id = before }()
	if got := r.commit(1); got != 0 {
		r.t.Fatalf("the first batch of %s is at offset %d", id, got)
	}
}

func TestPartitionsOfALogDoNotWaitForEachOther(t *testing.T) {
	r := newRig(t)
	all := r.partitions(12)
	damaged := all[3]
	logtest.Of(t, r.conn, damaged).LoseLog()
	s := r.start()
	defer r.stop(s)
	neighbors := 0
	for _, id := range all {
		if id != damaged {
			r.commitTo(id)
		}
		if id != damaged && id.Log == damaged.Log {
			neighbors++
		}
	}
	if neighbors == 0 {
		t.Fatal("no partition is in the log of the damaged one")
	}
	if got := s.Stats(); got.Batches != uint64(len(all)-1) {
		t.Errorf("%d batches are committed", got.Batches)
	}
}

func TestStopWritesExactMarksOfAllPartitions(t *testing.T) {
	r := newRig(t)
	all := r.partitions(12)
	s := r.start()
	for _, id := range all {
		r.commitTo(id)
	}
	r.stop(s)
	store := marks.New(r.conn, r.js)
	for _, id := range all {
		if m, err := store.Get(r.ctx, id); err != nil || !m.Mark.Exact() || m.Mark.Written.Offset != 2 {
			t.Errorf("the mark of %s is %+v (%v), want an exact one at offset 2", id, m, err)
		}
	}
}

func TestDeletionLeavesTheNeighborsOfALogAlone(t *testing.T) {
	r := newRig(t)
	all := r.partitions(12)
	s := r.start()
	defer r.stop(s)
	r.awaitReady(s)
	must(t, r.registry.Delete(r.ctx, "many"))
	r.await("the owners end", func() bool { return s.Stats().Terms == 1 })
	if got := r.commit(1); got != 0 {
		t.Errorf("a batch is at offset %d", got)
	}
	again := r.partitions(12)
	for i, id := range again {
		if id.TopicID == all[i].TopicID {
			t.Fatal("the topic has the id of a deleted one")
		}
		r.commitTo(id)
	}
}
