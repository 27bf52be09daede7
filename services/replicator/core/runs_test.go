package core_test

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
)

// runs returns the runs in the newest snapshot.
func (w *world) runs() []messages.Run {
	w.t.Helper()
	all := w.stored()
	if len(all) == 0 {
		w.t.Fatalf("there is no snapshot")
	}
	return all[0].Runs
}

// expectRuns checks that the runs of the newest snapshot end at these sequences, and that the
// last one ends with the log.
func (w *world) expectRuns(ends ...uint64) {
	w.t.Helper()
	var got []uint64
	runs := w.runs()
	for _, r := range runs {
		got = append(got, r.End.Sequence)
	}
	if fmt.Sprint(got) != fmt.Sprint(ends) {
		w.t.Fatalf("the runs end at %d, want %d", got, ends)
	}
	if last := runs[len(runs)-1].End; last != (messages.Position{Sequence: w.streamEnd, Offset: w.end()}) {
		w.t.Fatalf("the last run ends at %+v", last)
	}
}

func TestRunEndsAtItsPayload(t *testing.T) {
	w, o := newSaver(t)
	o.commit(sized(batch("a", 1), 1<<20-1))
	o.commit(sized(batch("a", 2), 1)) // with this entry it is full
	w.expectRuns(4)
	o.commit(sized(batch("a", 3), 7), sized(batch("a", 4), 8))
	w.expectRuns(4, 5)
	if r := w.runs()[1]; r.Payload != 15 || r.Batches != 2 || r.LogBytes != int64(len(messages.EncodeEntry(w.log[4].Entry))) || r.Since != w.log[4].Entry.Time {
		t.Errorf("the last run is %+v", r)
	}
}

func TestRunEndsAtItsEntries(t *testing.T) {
	w, o := newSaver(t)
	for n := uint64(1); n <= 1100; n++ {
		o.commit(sized(batch("a", n), 10))
	}
	w.expectRuns(1024, 1102)
}

func TestRunEndsAtItsLogBytes(t *testing.T) {
	w, o := newSaver(t)
	for n := range 300 {
		o.commit(batches(fmt.Sprint("lane-", n), 1, 100)...)
	}
	runs := w.runs()
	if len(runs) < 2 || runs[0].LogBytes < 256<<10 || runs[0].LogBytes > 258<<10 {
		t.Errorf("%d runs, the first one is %+v", len(runs), runs[0])
	}
}

func TestRunsAreReadFromTheLog(t *testing.T) {
	w, o := newSaver(t)
	for n := uint64(1); n <= 1100; n++ {
		o.commit(sized(batch("a", n), 2000))
	}
	counted := w.runs()
	clear(w.snapshots)
	w.leader("second").commit(sized(batch("b", 1), 2000))
	read := w.runs()
	if len(read) != len(counted) {
		t.Fatalf("%d runs are read, %d were counted", len(read), len(counted))
	}
	for i := range read[:len(read)-1] {
		r, c := read[i], counted[i]
		if r.LogBytes < c.LogBytes*9/10 || r.LogBytes > c.LogBytes*11/10 {
			t.Errorf("run %d: %d bytes of log are estimated, it has %d", i, r.LogBytes, c.LogBytes)
		}
		if r.LogBytes = c.LogBytes; r != c {
			t.Errorf("run %d is read as %+v, it was counted as %+v", i, r, c)
		}
	}
}

func TestRunThatAJobIncludesIsClosed(t *testing.T) {
	w := newWorld(t)
	w.settings.SnapshotEvery, w.settings.ArchiveBytes = 1, 1000
	o := w.leader("first")
	o.commit(sized(batch("a", 1), 1000))
	j := o.job()
	o.commit(sized(batch("a", 2), 10))
	o.commit(sized(batch("a", 3), 11))
	w.expectRuns(j.To.Sequence, w.streamEnd)
	o.step(done(j, "m1"))
	o.settle()
	w.expectRuns(w.streamEnd)
	if r := w.runs()[0]; r.Payload != 21 || r.Batches != 2 {
		t.Errorf("behind the history lies %+v", r)
	}
	if s := o.core.Stats(); s.Unarchived != w.runs()[0].LogBytes {
		t.Errorf("%d bytes are not archived", s.Unarchived)
	}
}

func TestSmallRunsAreJoined(t *testing.T) {
	const mib = 1 << 20
	w := newWorld(t)
	w.settings.SnapshotEvery = 4500
	o := w.leader("first")
	payload := int64(0)
	for n := uint64(1); n <= 4500; n++ {
		o.commit(sized(batch("a", n), mib))
		o.take()
		payload += mib
	}
	runs := w.runs()
	if len(runs) > 4096 {
		t.Errorf("%d runs", len(runs))
	}
	sum, last := int64(0), uint64(0)
	for _, r := range runs {
		if r.Payload > 64*mib || r.End.Sequence <= last {
			t.Fatalf("run %+v follows %d", r, last)
		}
		sum, last = sum+r.Payload, r.End.Sequence
	}
	if want := int64(w.stored()[0].Sequence-2) * mib; sum != want {
		t.Errorf("the runs have %d bytes, want %d", sum, want)
	}
}

func TestJobStaysCutWhenRunsAreJoined(t *testing.T) {
	const mib = 1 << 20
	w := newWorld(t)
	w.settings.SnapshotEvery, w.settings.ArchiveBytes, w.settings.ArchiveAge = 4200, 64*mib, time.Minute
	o := w.leader("first")
	o.commit(batch("a", 1))
	w.pass(time.Minute)
	o.step()
	j := o.job()
	for n := uint64(2); n <= 4300; n++ {
		o.commit(sized(batch("a", n), mib))
	}
	o.take()
	before := w.stored()[0].Runs
	if i := len(before); i > 4096 || before[0].End != j.To {
		t.Fatalf("%d runs, the first one ends at %+v, the job at %+v", i, before[0].End, j.To)
	}
	o.step(done(j, "m1"))
	o.settle()
	if after := w.stored()[0].Runs; after[0].End != before[1].End {
		t.Errorf("the run behind the job is %+v, it was %+v", after[0], before[1])
	}
}
