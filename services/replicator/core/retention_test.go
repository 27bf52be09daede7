package core_test

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

// retaining returns the owner of a log with a history of one segment, whose records are of the
// present. The topic has a retention.
func retaining(t *testing.T, r core.Retention) (*world, *owner) {
	w, _ := newArchiver(t)
	w.settings.Retention = r
	o := w.leader("second")
	o.commit(sized(batch("a", 1), 1000))
	if r.Age > 0 {
		o.answerTime(w.now)
	}
	m := done(o.job(), "m1")
	m.History.Size, m.History.Bytes, m.History.Oldest, m.History.OldestBytes = 100, 1500, w.now.UnixNano(), 1000
	o.step(m)
	o.settle()
	o.take()
	if w.history() != m.History {
		t.Fatalf("the history is %+v", w.history())
	}
	return w, o
}

// answerTime answers the question for JetStream's time, which must have been asked.
func (o *owner) answerTime(last time.Time) {
	o.w.t.Helper()
	if !o.timeAsked {
		o.w.t.Fatalf("the owner does not ask for the time")
	}
	o.timeAsked = false
	o.step(core.LogTime{Last: last.UnixNano()})
}

// dropped returns the result of a job that only drops the oldest segment.
func dropped(j messages.Archive, manifest string, start int64) messages.Archived {
	m := done(j, manifest)
	m.History.Start, m.History.Size = start, 100
	return m
}

func TestOldRecordsAreDroppedWithoutNewOnes(t *testing.T) {
	w, o := retaining(t, core.Retention{Age: time.Hour})
	w.pass(time.Hour)
	o.step()
	if o.timeAsked {
		t.Error("the time is asked for before a record is too old")
	}
	w.pass(1)
	o.step()
	o.expectNoJob("before JetStream's time is known")
	o.answerTime(w.now)
	j := o.job()
	if j.To != j.Base.End || j.Base.Manifest != "m1" || j.Retain != (messages.Retention{Cutoff: w.now.Add(-time.Hour).UnixNano()}) {
		t.Errorf("the job is %+v", j)
	}
	o.step(dropped(j, "m2", 1))
	o.settle()
	if h := w.history(); h.Manifest != "m2" || h.Start != 1 {
		t.Errorf("the history is %+v", h)
	}
	w.pass(24 * time.Hour)
	o.step()
	if o.timeAsked {
		t.Error("there is nothing more to drop")
	}
}

// The clock of this process is a day ahead, and nothing is appended.
func TestOwnClockAloneDropsNothing(t *testing.T) {
	w, o := retaining(t, core.Retention{Age: time.Hour})
	jetStream := w.now
	w.pass(24 * time.Hour)
	o.step()
	before := w.streamEnd
	o.answerTime(jetStream)
	o.step()
	o.settle()
	o.expectNoJob("because JetStream's time is that of the records")
	if w.streamEnd != before+1 {
		t.Error("no entry is appended for a new time")
	}
	w.pass(time.Minute - 1)
	o.step()
	if o.timeAsked {
		t.Error("the time is asked for again at once")
	}
	w.pass(1)
	o.step()
	o.answerTime(jetStream.Add(2 * time.Hour))
	if j := o.job(); j.Retain.Cutoff != jetStream.Add(time.Hour).UnixNano() {
		t.Errorf("the job drops what is older than %v", time.Unix(0, j.Retain.Cutoff))
	}
}

// JetStream's clock is ahead, or the stream cannot be looked up.
func TestJetStreamsClockAloneDropsNothing(t *testing.T) {
	w, o := retaining(t, core.Retention{Age: time.Hour})
	o.commit(sized(batch("b", 1), 1000))
	o.answerTime(w.now.Add(24 * time.Hour))
	if j := o.job(); j.Retain.Cutoff != w.now.Add(-time.Hour).UnixNano() {
		t.Errorf("the job drops what is older than %v", time.Unix(0, j.Retain.Cutoff))
	}
	w, o = retaining(t, core.Retention{Age: time.Hour})
	w.pass(time.Hour + 1)
	o.step()
	o.answerTime(time.Unix(0, 0))
	o.expectNoJob("without JetStream's time")
}

// JetStream's clock was ahead, and its next leader has the right time. The clock of this process is ahead
// by then.
func TestJetStreamsTimeFallsWithItsClock(t *testing.T) {
	w, o := retaining(t, core.Retention{Age: time.Hour})
	o.commit(sized(batch("b", 1), 1000))
	right := w.now
	o.answerTime(right.Add(48 * time.Hour))
	m := done(o.job(), "m2")
	m.History.Size, m.History.Bytes, m.History.Oldest, m.History.OldestBytes = 100, 2500, right.UnixNano(), 1000
	o.step(m)
	o.settle()
	w.pass(24 * time.Hour)
	o.step()
	o.answerTime(right)
	o.expectNoJob("because JetStream's time is that of the records again")
}

// The owner that took the records had a clock that was a year behind.
func TestRecordsThatSeemOlderThanTheirStreamAreKept(t *testing.T) {
	const year = 365 * 24 * time.Hour
	w, o := retaining(t, core.Retention{Age: time.Hour})
	w.pass(year)
	created := w.now
	o.step()
	o.timeAsked = false
	o.step(core.LogTime{Last: w.now.UnixNano(), Created: created.UnixNano()})
	o.settle()
	w.pass(time.Hour)
	o.step()
	o.expectNoJob("while the stream is younger than what is kept")
	o.settle()
	o.commit(sized(batch("a", 2), 1000)) // the times of the records rise by a year
	o.answerTime(w.now.Add(-time.Second))
	if j := o.job(); j.Retain.Cutoff != j.Base.Oldest {
		t.Errorf("the job drops what is older than %v", time.Unix(0, j.Retain.Cutoff))
	}

	w, o = retaining(t, core.Retention{Age: time.Hour})
	w.pass(year)
	o.step()
	o.timeAsked = false
	o.step(core.LogTime{Last: w.now.UnixNano(), Created: w.now.Add(-time.Hour).UnixNano()})
	o.step()
	if j := o.job(); j.Retain.Cutoff != w.now.Add(-time.Hour).UnixNano() {
		t.Errorf("the job drops what is older than %v", time.Unix(0, j.Retain.Cutoff))
	}
}

// A job that drops the oldest segment for another reason does not drop those behind it by their age.
func TestRecordsThatSeemOlderAreKeptBehindDroppedOnes(t *testing.T) {
	for name, r := range map[string]core.Retention{"truncation": {Age: time.Hour}, "bytes": {Age: time.Hour, Bytes: 500}} {
		t.Run(name, func(t *testing.T) {
			w, o := retaining(t, r)
			created := w.now
			w.pass(30 * time.Minute)
			if r.Bytes == 0 {
				o.truncate(1)
			}
			o.step()
			o.timeAsked = false
			o.step(core.LogTime{Last: w.now.UnixNano(), Created: created.UnixNano()})
			j := o.job()
			if j.Retain.Cutoff != 0 {
				t.Errorf("the job drops what is older than %v", time.Unix(0, j.Retain.Cutoff))
			}
			if j.Kept != messages.Kept(r) {
				t.Errorf("merged segments are bounded by %+v", j.Kept)
			}
		})
	}
}

func TestRecordsBeyondTheBytesAreDropped(t *testing.T) {
	_, o := retaining(t, core.Retention{Bytes: 501}) // 1,500 bytes without the oldest segment are 500
	o.step()
	o.expectNoJob("below the limit")
	o.step(core.Retention{Bytes: 500})
	if j := o.job(); j.To != j.Base.End || j.Retain != (messages.Retention{Bytes: 500}) {
		t.Errorf("the job is %+v", j)
	}
}

func TestOneJobArchivesAndRetains(t *testing.T) {
	w, o := retaining(t, core.Retention{Age: time.Hour, Bytes: 1 << 30})
	o.commit(sized(batch("b", 1), 1000))
	o.answerTime(w.now)
	want := messages.Retention{Cutoff: w.now.Add(-time.Hour).UnixNano(), Bytes: 1 << 30}
	if j := o.job(); j.To.Sequence != w.streamEnd || j.Retain != want {
		t.Errorf("the job is %+v", j)
	}
}

func TestShortRetentionArchivesEarly(t *testing.T) {
	w, o := retaining(t, core.Retention{Age: 2 * time.Minute})
	o.commit(batch("b", 1))
	w.pass(2*time.Minute - 1)
	o.step()
	if o.timeAsked {
		t.Error("a job is due too early")
	}
	w.pass(1)
	o.step()
	o.answerTime(w.now)
	if j := o.job(); j.To.Sequence != w.streamEnd {
		t.Errorf("the job is %+v", j)
	}
}

// A version without retention has stored the newest manifest.
func TestUnknownHistoryIsLookedInto(t *testing.T) {
	w, _ := newArchiver(t)
	o := w.leader("second")
	o.archive("a", "m1")
	o.step(core.Retention{Bytes: 1 << 40})
	if j := o.job(); j.To != j.Base.End {
		t.Errorf("the job is %+v", j)
	}
}

func TestStartRisesOnlyIfTheJobDrops(t *testing.T) {
	_, o := newArchiver(t)
	o.commit(sized(batch("a", 1), 1000))
	m := done(o.job(), "m1")
	m.History.Start = 1
	o.step(m)
	if o.append != nil || o.core.Stats().ArchiveFailures != 1 {
		t.Error("records were dropped that are to be kept, and it is accepted")
	}
}

// No archiver was running when the job was sent, or it is still working on it.
func TestOpenJobDropsNothingAfterAnUpdate(t *testing.T) {
	keep := core.Retention{Age: 30 * 24 * time.Hour}
	w, o := retaining(t, core.Retention{Age: time.Hour})
	w.pass(time.Hour + 1)
	o.step()
	o.answerTime(w.now)
	j := o.job()
	o.step(keep)
	w.pass(time.Hour)
	o.step()
	o.expectNoJob("because all records are kept")
	o.step(dropped(j, "m2", 1))
	o.settle()
	if h := w.history(); h.Manifest != "m1" || h.Start != 0 {
		t.Errorf("the history is %+v", h)
	}

	w, o = retaining(t, core.Retention{Bytes: 1000})
	o.commit(sized(batch("b", 1), 1000))
	j = o.job()
	o.step(keep)
	again := o.job()
	if again.To != j.To || again.Retain != (messages.Retention{}) || again.Kept != messages.Kept(keep) {
		t.Errorf("the job is sent again as %+v", again)
	}
	o.step(dropped(j, "m2", 1))
	o.settle()
	if h := w.history(); h.Manifest != "m1" {
		t.Errorf("the history is %+v", h)
	}
	o.step(dropped(again, "m3", 0))
	o.settle()
	if h := w.history(); h.Manifest != "m3" || h.Start != 0 {
		t.Errorf("the history is %+v", h)
	}
}

// Two jobs drop something of the same history, and the archiver of the first one is late.
func TestResultForAnEarlierRetentionIsIgnored(t *testing.T) {
	w, o := retaining(t, core.Retention{Age: time.Hour})
	w.pass(4 * time.Hour)
	o.step()
	o.answerTime(w.now)
	late := o.job()
	o.step(core.Retention{Age: 3 * time.Hour})
	o.answerTime(w.now)
	j := o.job()
	if j.To != late.To || j.Retain.Cutoff >= late.Retain.Cutoff {
		t.Fatalf("the job after the update is %+v", j)
	}
	o.step(dropped(late, "m2", 2))
	o.settle()
	if h := w.history(); h.Manifest != "m1" {
		t.Errorf("the history is %+v", h)
	}
	o.step(dropped(j, "m3", 1))
	o.settle()
	if h := w.history(); h.Manifest != "m3" {
		t.Errorf("the history is %+v", h)
	}
}

// The result is accepted before the update, and refused before an entry carries it.
func TestRefusedResultIsFollowedByTheNewRetention(t *testing.T) {
	for name, keeps := range map[string]int64{"job that only drops": 1, "job that archives": 1000} {
		t.Run(name, func(t *testing.T) {
			w, o := retaining(t, core.Retention{})
			o.step(core.Retention{Bytes: keeps})
			if keeps == 1000 {
				o.commit(dated(sized(batch("b", 1), 1000), 12))
			}
			j := o.job()
			o.step(core.Generation{Newest: 11})
			m := dropped(j, keyOf("m", 8, "1"), 1)
			m.Generation = 8
			o.step(m)
			o.step(core.Retention{Bytes: 1 << 40})
			o.settle()
			if h := w.history(); h.Start != 0 {
				t.Fatalf("the history is %+v", h)
			}
			w.pass(time.Minute)
			o.step()
			for _, again := range sentOf[messages.Archive](o) {
				if again.Retain != (messages.Retention{}) || again.To == again.Base.End {
					t.Errorf("the next job is %+v", again)
				}
			}
		})
	}
}
