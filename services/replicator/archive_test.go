package replicator_test

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// archiver answers every job as an archiver does that has written its segment. It returns the
// number of jobs.
func (r *rig) archiver() *atomic.Int64 {
	r.t.Helper()
	var jobs atomic.Int64
	_, err := r.conn.QueueSubscribe(messages.ArchiveSubject, messages.ArchiverQueue, func(m *nats.Msg) {
		decoded, err := messages.Decode(m.Data)
		job, is := decoded.(messages.Archive)
		if err != nil || !is {
			r.t.Errorf("received %+v, %v", decoded, err)
			return
		}
		done := messages.Archived{
			Partition: job.Partition, Base: job.Base.Manifest,
			History: messages.History{Manifest: fmt.Sprint("m", jobs.Add(1)), Start: job.Base.Start, End: job.To},
			Records: job.To.Offset - job.Base.End.Offset,
		}
		if err := r.conn.Publish(messages.ReplicatorSubject(job.Partition), messages.Encode(done)); err != nil {
			r.t.Error(err)
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return &jobs
}

// purged commits batches until the log is archived and purged, and returns their number.
func (r *rig) purged() (committed uint64) {
	r.t.Helper()
	for committed < 12 {
		committed++
		r.commit(committed)
	}
	log := partitionlog.New(r.conn, r.js, r.id)
	more := time.NewTicker(5 * time.Second)
	defer more.Stop()
	r.await("a purge", func() bool {
		select {
		case <-more.C: // if saves are slow, the log has too few snapshots
			for range 3 {
				committed++
				r.commit(committed)
			}
		default:
		}
		state, err := log.State(r.ctx)
		return err == nil && state.FirstSequence >= 5
	})
	return committed
}

func TestArchivedEntriesArePurgedAndARestartContinues(t *testing.T) {
	r := newRig(t)
	r.archive = 50
	jobs := r.archiver()
	s := r.start()
	r.awaitReady(s)
	n := r.purged()
	log := partitionlog.New(r.conn, r.js, r.id)
	if stats := s.Stats(); stats.Archives == 0 || stats.Archives > uint64(jobs.Load()) {
		t.Errorf("%d jobs were sent: %+v", jobs.Load(), stats)
	}
	r.stop(s)

	next := r.start()
	r.awaitReady(next)
	if got := r.commit(n + 1); got != int64(2*n) {
		t.Errorf("after a restart batch %d is at offset %d, want %d", n+1, got, 2*n)
	}
	r.stop(next)
	last, err := log.State(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := log.Read(r.ctx, last.LastSequence, 1)
	if err != nil || len(entries) != 1 || entries[0].Entry.History.Manifest == "" {
		t.Errorf("the last entry is %+v, %v", entries, err)
	}
	for _, e := range r.logs.All() {
		t.Errorf("logged: %s", e.Message)
	}
}

// probe asks the replicator as a frontend does.
func (r *rig) probe() string {
	r.t.Helper()
	inbox := messages.ProbePrefix + "test"
	answers, err := r.conn.SubscribeSync(inbox)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := r.conn.PublishRequest(messages.ReplicatorProbe, inbox, nil); err != nil {
		r.t.Fatal(err)
	}
	m, err := answers.NextMsgWithContext(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(m.Data)
}

// TestLogOfAReplicatorWithoutArchivingIsArchivedByTheNext changes --archive-bytes at a restart.
func TestLogOfAReplicatorWithoutArchivingIsArchivedByTheNext(t *testing.T) {
	r := newRig(t)
	jobs := r.archiver()
	s := r.start()
	r.awaitReady(s)
	const committed = 12
	for n := range uint64(committed) {
		r.commit(n + 1)
	}
	if answer := r.probe(); answer != "" {
		t.Errorf("without archiving a probe is answered with %q", answer)
	}
	r.stop(s)
	if n := jobs.Load(); n > 0 {
		t.Errorf("%d jobs were sent without archiving", n)
	}

	r.archive = 1
	next := r.start()
	defer r.stop(next)
	if answer := r.probe(); answer != messages.ProbeArchives {
		t.Errorf("with archiving a probe is answered with %q", answer)
	}
	log := partitionlog.New(r.conn, r.js, r.id)
	r.await("all of the log archived", func() bool {
		state, err := log.State(r.ctx)
		return err == nil && state.History.End.Offset == 2*committed
	})
}

// Without the announcement of an archiver that starts, the job is sent again after 10 seconds.
func TestArchiverThatStartsGetsTheJobThatNoneHasTaken(t *testing.T) {
	r := newRig(t)
	r.archive = 10
	jobs := make(chan *nats.Msg, 100)
	sub, err := r.conn.ChanQueueSubscribe(messages.ArchiveSubject, messages.ArchiverQueue, jobs)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	s := r.start()
	r.awaitReady(s)
	r.commit(1)
	first := <-jobs
	sent := time.Now()
	for range 3 {
		if err := r.conn.Publish(messages.ArchiverStarted, nil); err != nil {
			t.Fatal(err)
		}
		if again := <-jobs; !bytes.Equal(again.Data, first.Data) {
			t.Error("it is another job")
		}
	}
	if took := time.Since(sent); took > 20*time.Second {
		t.Errorf("the job was sent three times in %s", took)
	}
	r.stop(s)
}

func TestPurgedLogWithoutASnapshotIsReadOnly(t *testing.T) {
	r := newRig(t)
	r.archive = 50
	r.archiver()
	s := r.start()
	r.awaitReady(s)
	r.purged()
	r.stop(s)
	stream, err := r.js.Stream(r.ctx, "LANEWAY_SNAPSHOTS")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(r.ctx); err != nil {
		t.Fatal(err)
	}
	next := r.start()
	defer r.stop(next)
	r.await("damage", func() bool { return next.Stats().Damaged == 1 })
	r.await("a report", func() bool {
		return r.logs.FilterMessageSnippet("its log was purged up to entry").FilterMessageSnippet("none of its snapshots can be read").Len() == 1
	})
}

func TestSnapshotThatIsNotStoredAllowsNoPurge(t *testing.T) {
	r := newRig(t)
	r.archive = 50
	r.archiver()
	if _, err := r.js.CreateStream(r.ctx, jetstream.StreamConfig{
		Name: "LANEWAY_SNAPSHOTS", Subjects: []string{"_laneway.snapshot.>"}, MaxMsgSize: 10,
	}); err != nil {
		t.Fatal(err)
	}
	s := r.start()
	defer r.stop(s)
	r.awaitReady(s)
	for n := range uint64(12) {
		r.commit(n + 1)
	}
	r.await("an archived part", func() bool { return s.Stats().Archives > 0 })
	r.await("a failure", func() bool { return s.Stats().SnapshotFailures > 0 })
	if got := s.Stats(); got.PurgedBytes != 0 {
		t.Errorf("%d bytes are purged", got.PurgedBytes)
	}
	r.await("a warning", func() bool { return r.logs.FilterMessageSnippet("a snapshot could not be saved").Len() > 0 })
}

func TestJobsOfALogAreSharedByArchivers(t *testing.T) {
	r := newRig(t)
	r.archive = 1
	all := r.partitions(12)
	jobs := make(chan *nats.Msg, 1000)
	_, err := r.conn.ChanQueueSubscribe(messages.ArchiveSubject, messages.ArchiverQueue, jobs)
	must(t, err)
	s := r.start()
	defer r.stop(s)
	// Each NATS message goes to one archiver.
	receive := func() {
		t.Helper()
		for open := len(all); open > 0; open-- {
			select {
			case m := <-jobs:
				if _, err := messages.Decode(m.Data); err != nil {
					t.Fatalf("a message is not one job: %v", err)
				}
			case <-r.ctx.Done():
				t.Fatalf("%d jobs have not come", open)
			}
		}
	}
	for _, id := range all {
		r.commitTo(id)
	}
	receive()
	must(t, r.conn.Publish(messages.ArchiverStarted, nil)) // all jobs are sent again in one turn
	receive()
}
