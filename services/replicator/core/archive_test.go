package core_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// newArchiver returns a world whose owners archive 1,000 bytes of payload at a time, and the
// first of them.
func newArchiver(t *testing.T) (*world, *owner) {
	w := newWorld(t)
	w.settings.ArchiveBytes, w.settings.ArchiveAge = 1000, 10*time.Minute
	o := w.leader("first")
	return w, o
}

// sized returns a batch whose frame has so many bytes.
func sized(b messages.StagedBatch, bytes int64) messages.StagedBatch {
	b.Extent.Length = bytes
	return b
}

// job takes what was sent, and returns the only job in it.
func (o *owner) job() messages.Archive {
	o.w.t.Helper()
	jobs := sentOf[messages.Archive](o)
	if len(jobs) != 1 {
		o.w.t.Fatalf("%d jobs are sent: %+v", len(jobs), jobs)
	}
	return jobs[0]
}

func (o *owner) expectNoJob(when string) {
	o.w.t.Helper()
	if jobs := sentOf[messages.Archive](o); len(jobs) > 0 {
		o.w.t.Fatalf("%s: %+v", when, jobs)
	}
}

// history returns the history of the last entry of the log.
func (w *world) history() messages.History { return w.log[len(w.log)-1].Entry.History }

// done returns the result of a job, with a manifest of this name.
func done(j messages.Archive, manifest string) messages.Archived {
	return messages.Archived{
		Partition: orders, Base: j.Base.Manifest, History: messages.History{Manifest: manifest, Start: j.Base.Start, End: j.To},
		Records: j.To.Offset - j.Base.End.Offset, Retain: j.Retain,
	}
}

// archive has the log archived up to its end.
func (o *owner) archive(lane, manifest string) {
	o.w.t.Helper()
	o.commit(sized(batch(lane, 1), 1000))
	o.step(done(o.job(), manifest))
	o.settle()
	if o.w.history().Manifest != manifest {
		o.w.t.Fatalf("the log has the history %+v, want %s", o.w.history(), manifest)
	}
}

func TestJobIsDueAtItsBytes(t *testing.T) {
	w, _ := newArchiver(t)
	w.settings.Codec = protocol.CompressionS2
	o := w.leader("second")
	o.commit(sized(batch("a", 1), 999))
	o.expectNoJob("below the limit")
	o.commit(sized(batch("a", 2), 1))
	want := messages.Archive{Partition: orders, To: messages.Position{Sequence: w.streamEnd, Offset: w.end()}, Codec: protocol.CompressionS2}
	if j := o.job(); j != want {
		t.Errorf("the job is %+v, want %+v", j, want)
	}
	o.commit(sized(batch("a", 3), 5000))
	o.expectNoJob("while one is open")
}

func TestJobHasTheCodecOfTheTopic(t *testing.T) {
	_, o := newArchiver(t)
	o.step(core.Codec{Codec: protocol.CompressionZstd})
	o.commit(sized(batch("a", 1), 1000))
	if j := o.job(); j.Codec != protocol.CompressionZstd {
		t.Errorf("after an update the job is %+v", j)
	}
}

func TestJobCountsFramesAndNotBlocks(t *testing.T) {
	_, o := newArchiver(t)
	b := sized(batch("a", 1), 10)
	b.Extent.Block = messages.InBlock{Codec: protocol.CompressionS2, Bytes: 2000, Length: 1000}
	o.commit(b)
	o.job()
}

func TestJobIsDueAtTheAgeOfTheFirstBatch(t *testing.T) {
	w, o := newArchiver(t)
	w.pass(time.Hour)
	o.step()
	o.expectNoJob("without a batch")
	o.commit(batch("a", 1))
	w.pass(10*time.Minute - 1)
	o.step()
	o.expectNoJob("before the age")
	w.pass(1)
	o.step()
	if j := o.job(); j.To != (messages.Position{Sequence: 3, Offset: 2}) {
		t.Errorf("the job ends at %+v", j.To)
	}
}

// The owner before was days ahead. Its batches would wait for days, and with them the deletion of objects.
func TestJobIsDueForBatchesOfTheFuture(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(batch("a", 1))
	w.pass(-time.Minute)
	o = w.start("second")
	o.settle()
	o.expectNoJob("for a small difference between two clocks")
	w.pass(-1)
	o = w.start("third")
	o.settle()
	o.job()
}

func TestJobIsDueAtAQuarterOfTheTail(t *testing.T) {
	for name, limit := range map[string]func(*core.Settings){
		"bytes":   func(s *core.Settings) { s.TailBytes = 4 * 300 },
		"batches": func(s *core.Settings) { s.TailBatches = 4 * 3 },
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newArchiver(t)
			w.settings.ArchiveBytes = 1 << 40
			limit(&w.settings)
			o := w.leader("second")
			o.commit(batch("a", 1), batch("a", 2))
			o.expectNoJob("below the limit")
			o.commit(batches("a", 3, 19)...)
			o.job()
		})
	}
}

func TestArchivingIsOffByDefault(t *testing.T) {
	w, o := newLeader(t)
	o.commit(sized(batch("a", 1), 1<<20))
	w.pass(24 * time.Hour)
	o.step()
	o.expectNoJob("without a size")
	o.step(messages.Archived{Partition: orders, History: messages.History{Manifest: "m1", End: messages.Position{Sequence: 3, Offset: 2}}, Records: 2})
	if o.append != nil {
		t.Error("a history is appended")
	}
}

func TestJobCoversAsManyRunsAsFit(t *testing.T) {
	w := newWorld(t)
	o := w.leader("first")
	const mib = 1 << 20
	for n := uint64(1); n <= 6; n++ {
		o.commit(sized(batch("a", n), mib))
	}
	w.settings.ArchiveBytes, w.settings.ArchiveAge = 3*mib, time.Hour
	o = w.start("second")
	o.settle()
	if j := o.job(); j.To.Sequence != 5 { // behind the Created entry and the term record
		t.Errorf("a job of 3 MiB ends at %+v", j.To)
	}
	w.settings.ArchiveBytes = mib / 2
	o = w.start("third")
	o.settle()
	if j := o.job(); j.To.Sequence != 3 {
		t.Errorf("a job of less than a run ends at %+v", j.To)
	}
}

func TestSilentJobIsSentAgain(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 1000))
	first := o.job()
	for range 3 {
		w.pass(9 * time.Second)
		o.step(messages.Archiving{Partition: orders})
		o.expectNoJob("while an archiver works on it")
	}
	w.pass(10*time.Second - 1)
	o.step(messages.Archiving{Partition: orders, Base: "another"})
	o.expectNoJob("before 10 s")
	w.pass(1)
	o.step()
	if again := o.job(); again != first {
		t.Errorf("sent again is %+v, want %+v", again, first)
	}
	for range 7 {
		w.pass(10 * time.Second)
		o.step()
	}
	if len(o.warnings) != 1 || !strings.Contains(o.warnings[0], "no archiver has answered for 1m") {
		t.Errorf("warnings: %q", o.warnings)
	}
}

func TestJobThatNoArchiverHasTakenIsSentToOneThatStarts(t *testing.T) {
	w, o := newArchiver(t)
	o.step(core.ArchiverStarted{})
	o.expectNoJob("before one is due")
	o.commit(sized(batch("a", 1), 1000))
	first := o.job()
	w.pass(time.Second)
	o.step(core.ArchiverStarted{})
	if again := o.job(); again != first {
		t.Errorf("sent again is %+v, want %+v", again, first)
	}
	o.step()
	o.expectNoJob("right after that")
	o.step(messages.Archiving{Partition: orders})
	o.step(core.ArchiverStarted{})
	o.expectNoJob("while an archiver works on it")
	w.pass(10 * time.Second)
	o.step() // that archiver has ended
	o.job()
	o.step(core.ArchiverStarted{})
	o.job()
	o.step(messages.ArchiveFailed{Partition: orders})
	o.step(core.ArchiverStarted{})
	o.expectNoJob("in the pause after a failure")
}

func TestFailedJobIsSentAgainAfterAPause(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 1000))
	first := o.job()
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		o.step(messages.ArchiveFailed{Partition: orders, Reason: "the store is away"})
		w.pass(pause*time.Second - 1)
		o.step(messages.ArchiveFailed{Partition: orders, Reason: "said twice"})
		o.expectNoJob("during the pause")
		w.pass(1)
		o.step()
		if again := o.job(); again != first {
			t.Errorf("sent again is %+v, want %+v", again, first)
		}
	}
	if n := len(o.warnings); n != 3 || !strings.Contains(o.warnings[0], "the store is away") {
		t.Errorf("%d warnings: %q", n, o.warnings)
	}
	if s := o.core.Stats(); s.ArchiveFailures != 8 || s.Archives != 0 {
		t.Errorf("%d failures are counted", s.ArchiveFailures)
	}
	o.step(messages.ArchiveFailed{Partition: orders, Base: "another"})
	if s := o.core.Stats(); s.ArchiveFailures != 8 {
		t.Error("the failure of another job counts")
	}
}

func TestJobIsGivenUpAfterAnHourOfFailures(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 1000))
	begin := w.now
	for j := o.job(); ; j = o.job() {
		if want := w.now.Sub(begin) >= time.Hour; j.GiveUp != want {
			t.Fatalf("after %s: %+v", w.now.Sub(begin), j)
		}
		if j.GiveUp {
			break
		}
		o.step(messages.ArchiveFailed{Partition: orders})
		w.pass(time.Minute)
		o.step()
	}
	o.step(messages.Archived{Partition: orders, History: messages.History{Manifest: "m1", End: messages.Position{Sequence: 3, Offset: 2}}, Damaged: 2})
	o.settle()
	o.commit(sized(batch("a", 2), 1000))
	if j := o.job(); j.GiveUp || j.Base.Manifest != "m1" {
		t.Errorf("the next job is %+v", j)
	}
	if s := o.core.Stats(); s.Unarchivable != 2 || !slices.ContainsFunc(o.warnings, func(text string) bool { return strings.Contains(text, "2 records between") }) {
		t.Errorf("%d records are counted, warnings %q", s.Unarchivable, o.warnings)
	}
}

func TestHistoryIsTrueOnceItIsInTheLog(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 1000))
	j := o.job()
	o.step(release(batch("a", 2)))
	o.step(done(j, "m1"))
	o.ack() // the entry that was under way has no history
	if w.history().Archived() || o.core.Stats().ArchivedTo != 0 {
		t.Fatalf("the history is %+v", w.history())
	}
	w.pass(11 * time.Second)
	o.step()
	o.expectNoJob("once a result is accepted")
	if o.append == nil {
		t.Fatal("nothing waits, and no entry is appended for the history")
	}
	o.step(release(batch("a", 3)))
	o.ack()
	want := messages.History{Manifest: "m1", End: j.To}
	if last := w.log[len(w.log)-1].Entry; last.History != want || len(last.Batches) != 0 {
		t.Errorf("the entry for the history is %+v", last)
	}
	if announced := sentOf[messages.Committed](o); len(announced) != 1 || announced[0].Sequence != w.streamEnd {
		t.Errorf("announced are %d entries", len(announced))
	}
	o.settle()
	if s := o.core.Stats(); s.ArchivedTo != j.To.Offset || s.Archives != 1 || w.history() != want {
		t.Errorf("the history is %+v, archived to %d", w.history(), s.ArchivedTo)
	}
	w.leader("second")
	if w.history() != want {
		t.Errorf("the term record has the history %+v", w.history())
	}
}

func TestIdleLogTakesAHistory(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 1000))
	j := o.job()
	w.pass(time.Second)
	o.step() // the mark is exact now
	o.step(done(j, "m1"))
	o.settle()
	if w.history().Manifest != "m1" {
		t.Errorf("the history is %+v", w.history())
	}
}

func TestHistoryTravelsWithBatches(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 1000))
	j := o.job()
	o.step(release(batch("a", 2)))
	o.step(done(j, "m1"), release(batch("a", 3)))
	o.ack()
	o.ack()
	if last := w.log[len(w.log)-1].Entry; last.History.Manifest != "m1" || len(last.Batches) != 1 || o.append != nil {
		t.Errorf("the last entry is %+v", last)
	}
}

func TestForeignResultsAreIgnored(t *testing.T) {
	w, o := newArchiver(t)
	o.archive("a", "m1")
	o.commit(sized(batch("b", 1), 1000))
	j := o.job()
	for name, change := range map[string]func(*messages.Archived){
		"of the history before": func(m *messages.Archived) { m.Base = "" },
		"of another history":    func(m *messages.Archived) { m.Base = "m0" },
		"with another end":      func(m *messages.Archived) { m.History.End.Sequence++ },
		"with another offset":   func(m *messages.Archived) { m.History.End.Offset-- },
	} {
		m := done(j, "m2")
		change(&m)
		o.step(m)
		if o.append != nil {
			t.Errorf("a result %s is accepted", name)
		}
	}
	if n := o.core.Stats().ArchiveFailures; n != 0 {
		t.Errorf("%d count as failures", n)
	}
	o.step(done(j, "m2"), done(j, "m3"))
	o.settle()
	o.step(done(j, "m3"))
	if w.history().Manifest != "m2" || o.append != nil {
		t.Errorf("the history is %+v", w.history())
	}
}

func TestWrongResultIsAFailure(t *testing.T) {
	for name, change := range map[string]func(*messages.Archived){
		"too few records":  func(m *messages.Archived) { m.Records-- },
		"too many records": func(m *messages.Archived) { m.Missing++ },
		"a sum that wraps": func(m *messages.Archived) {
			m.Records, m.Damaged, m.Missing = math.MaxInt64, math.MaxInt64, m.Records+2
		},
		"the old manifest":   func(m *messages.Archived) { m.History.Manifest = "m1" },
		"no manifest":        func(m *messages.Archived) { m.History.Manifest = "" },
		"a start that falls": func(m *messages.Archived) { m.History.Start = 0 },
		"a start too high":   func(m *messages.Archived) { m.History.Start = m.History.End.Offset + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newArchiver(t)
			w.settings.Retention.Bytes = 1 << 40
			o := w.leader("second")
			o.commit(sized(batch("a", 1), 1000))
			m := done(o.job(), "m1")
			m.History.Start = 1
			o.step(m)
			o.settle()
			o.commit(sized(batch("b", 1), 1000))
			m = done(o.job(), "m2")
			change(&m)
			o.step(m)
			if o.append != nil || o.core.Stats().ArchiveFailures != 1 {
				t.Error("it is accepted")
			}
		})
	}
}

func TestGapsAreMissingInAJob(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 900))
	w.marked, w.mark = true, core.FoundMark{Mark: messages.Mark{Written: messages.Position{Sequence: 3, Offset: 2}, Reserved: messages.Position{Sequence: 10, Offset: 50}}, Exists: true}
	o = w.leader("second")
	o.commit(sized(batch("b", 1), 100))
	j := o.job()
	m := done(j, "m1")
	m.Records, m.Missing = 4, 48
	if j.To.Offset != 52 {
		t.Fatalf("the job is %+v", j)
	}
	o.step(m)
	o.settle()
	if w.history().Manifest != "m1" {
		t.Error("the result is not accepted")
	}
}

func TestRollBackForgetsTheJob(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 1000))
	j := o.job()
	o.step(done(j, "m1"))
	o.loseAppend()
	o.settle()
	if w.history().Archived() {
		t.Fatalf("the history is %+v", w.history())
	}
	again := o.job()
	if again.Base != j.Base {
		t.Errorf("the job is made again as %+v, it was %+v", again, j)
	}
	o.step(done(j, "m1"))
	if o.append != nil {
		t.Error("the result of the earlier job is accepted, which has another end")
	}
	o.step(done(again, "m2"))
	o.settle()
	if w.history().Manifest != "m2" {
		t.Errorf("the history is %+v", w.history())
	}
}

func TestHistoryOfALostAckIsFoundInTheLog(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 1000))
	j := o.job()
	o.step(done(j, "m1"))
	o.loseAck()
	o.settle()
	if w.history().Manifest != "m1" {
		t.Fatalf("the term record has the history %+v", w.history())
	}
	o.commit(sized(batch("b", 1), 1000))
	if next := o.job(); next.Base != w.history() || next.Base.End != j.To {
		t.Errorf("the next job builds on %+v", next.Base)
	}
}

func TestHistoryNeverFalls(t *testing.T) {
	w, o := newArchiver(t)
	o.archive("a", "m1")
	older := w.history()
	o.archive("b", "m2")
	want := w.history()
	w.put(messages.Entry{TopicID: orders.TopicID, BaseOffset: w.end(), History: older}) // no owner writes that
	clear(w.snapshots)
	w.leader("second")
	if w.history() != want {
		t.Errorf("the history is %+v, want %+v", w.history(), want)
	}
}

func TestResultsBeforeTheTermAreIgnored(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 1000))
	j := o.job()
	next := w.start("second")
	next.step(done(j, "m1"))
	next.answerRead()
	next.step(done(j, "m1"))
	next.settle()
	if w.history().Archived() {
		t.Errorf("the history is %+v", w.history())
	}
}

func TestFirstJobBuildsOnWhatPrecedesTheLog(t *testing.T) {
	w := newWorld(t)
	w.settings.ArchiveBytes, w.settings.ArchiveAge, w.settings.SnapshotEvery = 1000, time.Hour, 2
	w.log, w.streamEnd = nil, 1000
	w.put(messages.Entry{TopicID: orders.TopicID, Created: true, BaseOffset: 500, Gap: 20})
	want := messages.History{Start: 480, End: messages.Position{Sequence: 1000, Offset: 480}}
	w.leader("first").commit(sized(batch("a", 1), 1000))
	for name := range 2 { // both know it from a snapshot
		o := w.start(fmt.Sprint(name))
		o.settle()
		if o.purge != nil {
			t.Errorf("owner %d: before anything is archived, %+v", name, o.purge)
		}
		if j := o.job(); j.Base != want {
			t.Errorf("owner %d: the job builds on %+v, want %+v", name, j.Base, want)
		}
		if w.history() != (messages.History{}) {
			t.Errorf("before anything is archived, entries have the history %+v", w.history())
		}
	}
	if len(w.stored()) == 0 || w.stored()[0].History != want {
		t.Error("the snapshot lacks it")
	}
}

func TestStoppingOwnerStartsNoJob(t *testing.T) {
	_, o := newArchiver(t)
	o.step(release(sized(batch("a", 1), 1000)))
	o.marking = true
	o.step(core.Stopping{})
	o.ack()
	o.expectNoJob("while it stops")
}
