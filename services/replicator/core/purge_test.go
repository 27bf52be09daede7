package core_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

// newPurger returns a world whose owners archive 1,000 bytes at a time, and the first of them,
// with a log of some 300 entries that are archived, and one snapshot behind them.
func newPurger(t *testing.T) (*world, *owner) {
	w, o := newArchiver(t)
	for n := uint64(1); n <= 300; n++ {
		o.commit(sized(batch("a", n), 1))
	}
	o.archive("b", "m1")
	if len(w.stored()) != 1 || o.purge != nil {
		t.Fatalf("%d snapshots are made, purged is %+v", len(w.stored()), o.purge)
	}
	return w, o
}

func TestMovedHistoryMakesASnapshot(t *testing.T) {
	w, o := newArchiver(t)
	o.archive("a", "m1")
	all := w.stored()
	if len(all) != 1 || all[0].Sequence != w.streamEnd || all[0].History != w.history() {
		t.Errorf("the snapshots are %+v", all)
	}
}

func TestLogIsPurgedBeforeTheOlderOfTwoSnapshots(t *testing.T) {
	w, o := newPurger(t)
	older := w.stored()[0].Sequence
	if older != 304 || w.history().End.Sequence != 303 {
		t.Fatalf("the snapshot is of %d, the history ends at %d", older, w.history().End.Sequence)
	}
	w.settings.SnapshotEvery = 1
	o.archive("c", "m2")
	if o.purge == nil || o.purge.Below != older {
		t.Fatalf("purged is %+v, want up to the entry of the older snapshot, %d", o.purge, older)
	}
	before := o.core.Stats()
	o.finishPurge()
	if o.purge != nil {
		t.Errorf("purged again is %+v", o.purge)
	}
	if s := o.core.Stats(); s.PurgedBytes == 0 || s.LogBytes >= before.LogBytes || s.LogBytes < s.Unarchived {
		t.Errorf("%d bytes were in the log before, %d are now, %d were purged", before.LogBytes, s.LogBytes, s.PurgedBytes)
	}
}

func TestLogIsPurgedNoFurtherThanItsHistory(t *testing.T) {
	w, _ := newArchiver(t)
	w.settings.SnapshotEvery = 10
	o := w.leader("second")
	for n := uint64(1); n <= 300; n++ {
		o.commit(sized(batch("a", n), 1))
	}
	o.commit(sized(batch("b", 1), 1000))
	j := o.job()
	end := j.To.Sequence
	for n := uint64(2); n <= 30; n++ {
		o.commit(sized(batch("b", n), 1))
	}
	o.step(done(j, "m1"))
	o.settle()
	if o.purge == nil || o.purge.Below != end+1 {
		t.Fatalf("purged is %+v, the history ends at %d", o.purge, end)
	}
	o.finishPurge()
	if w.log[0].Sequence != end+1 {
		t.Errorf("the log begins with %d", w.log[0].Sequence)
	}
}

// The snapshot of a save that has failed may be stored, and damaged. It takes the place of none that
// can be read.
func TestTheLastTwoGoodSnapshotsAreKept(t *testing.T) {
	w, _ := newArchiver(t)
	w.settings.PurgeEntries = 1
	o := w.leader("second")
	o.saving = true
	var good []uint64
	for n, fails := range []bool{false, false, true, true, false} {
		o.commit(sized(batch("a", uint64(n+1)), 1000))
		o.step(done(o.job(), fmt.Sprint("m", n)))
		o.settle()
		if n := len(good); n > 0 && o.save.Keep != good[n-1] {
			t.Errorf("with %v the snapshots from %d on are kept", good, o.save.Keep)
		}
		if fails {
			o.failSave()
			w.pass(time.Minute)
			continue
		}
		o.purge = nil
		good = append(good, o.save.Sequence)
		o.finishSave()
		if o.purge != nil {
			o.step(core.Purged{Below: o.purge.Below})
		}
	}
	if len(w.snapshots) != 2 || len(good) != 3 || o.purge == nil || o.purge.Below > good[1] {
		t.Errorf("with the snapshots %v, %d of them stored, the purge is %+v", good, len(w.snapshots), o.purge)
	}
}

func TestFailedSnapshotAllowsNoPurge(t *testing.T) {
	w, o := newPurger(t)
	o.saving = true
	o.archive("c", "m2")
	o.failSave()
	if o.purge != nil {
		t.Fatalf("purged is %+v", o.purge)
	}
	w.pass(10*time.Second - 1)
	o.step()
	if o.save != nil {
		t.Fatal("the snapshot is made again at once")
	}
	w.pass(1)
	o.step()
	o.finishSave()
	if o.purge == nil {
		t.Error("nothing is purged after the second attempt")
	}
	if s := o.core.Stats(); s.SnapshotFailures != 1 {
		t.Errorf("%d failures", s.SnapshotFailures)
	}
}

func TestFailedPurgeIsRepeated(t *testing.T) {
	w, o := newPurger(t)
	o.archive("c", "m2")
	want := *o.purge
	o.purge = nil
	w.pass(time.Hour)
	o.step()
	if o.purge != nil {
		t.Fatal("two are under way")
	}
	o.step(core.PurgeFailed{Reason: "no leader"})
	w.pass(10*time.Second - 1)
	o.step()
	if o.purge != nil {
		t.Fatal("it is repeated at once")
	}
	w.pass(1)
	o.step()
	if o.purge == nil || *o.purge != want {
		t.Errorf("repeated is %+v, want %+v", o.purge, want)
	}
}

func TestSmallPurgeWaitsForAnIdleLog(t *testing.T) {
	w, o := newArchiver(t)
	o.archive("a", "m1")
	o.archive("b", "m2")
	if o.purge != nil {
		t.Fatalf("a few entries are purged at once: %+v", o.purge)
	}
	w.pass(time.Second)
	o.step()
	if o.purge == nil {
		t.Error("an idle log is not purged")
	}
}

func TestPurgeIsMeasuredFromTheBeginningOfTheLog(t *testing.T) {
	w := newWorld(t)
	w.settings.ArchiveBytes, w.settings.ArchiveAge = 1000, time.Hour
	w.log, w.streamEnd = nil, 1000
	w.put(messages.Entry{TopicID: orders.TopicID, Created: true})
	o := w.leader("first")
	o.archive("a", "m1")
	o.archive("b", "m2")
	if o.purge != nil {
		t.Errorf("a few entries are purged at once: %+v", o.purge)
	}
}

func TestIdleLogGetsASecondSnapshot(t *testing.T) {
	w, o := newPurger(t)
	w.pass(time.Second - 1)
	o.step()
	if o.purge != nil {
		t.Fatalf("purged is %+v", o.purge)
	}
	w.pass(1)
	o.step()
	if o.purge == nil || o.purge.Below != w.history().End.Sequence+1 {
		t.Fatalf("purged is %+v", o.purge)
	}
	o.finishPurge()
	n := o.core.Stats().Snapshots
	for range 5 {
		w.pass(time.Minute)
		o.step()
	}
	if more := o.core.Stats().Snapshots - n; more != 0 || o.purge != nil {
		t.Errorf("%d more snapshots are made, purged is %+v", more, o.purge)
	}
}

func TestIdleLogOfFewLargeEntriesGetsASecondSnapshot(t *testing.T) {
	w, o := newArchiver(t)
	o.commit(inline(batch("a", 1), 1100<<10))
	o.archive("b", "m1")
	w.pass(time.Second)
	o.step()
	if o.purge == nil || o.purge.Below != w.history().End.Sequence+1 {
		t.Fatalf("purged is %+v, and the history ends with entry %d", o.purge, w.history().End.Sequence)
	}
}

// newPurged returns a world with a log that was purged up to entry 303. It has snapshots of
// the entries 304 and 306.
func newPurged(t *testing.T) *world {
	w, o := newPurger(t)
	o.archive("c", "m2")
	o.finishPurge()
	if all := w.stored(); w.log[0].Sequence != 304 || len(all) != 2 || all[1].Sequence != 304 || all[0].Sequence != 306 {
		t.Fatalf("the log begins with %d, the snapshots are of %d and %d", w.log[0].Sequence, all[0].Sequence, all[1].Sequence)
	}
	return w
}

// A snapshot that is being stored while the log is read again is found there, and reported as stored
// later. The log must not be purged as if these were two.
func TestSnapshotThatIsFoundAndThenReportedCountsOnce(t *testing.T) {
	for name, reported := range map[string]func(o *owner){
		"after the snapshots were loaded": func(o *owner) { o.finishLoad(); o.settle(); o.finishSave() },
		"before":                          func(o *owner) { o.finishSave(); o.finishLoad(); o.settle() },
	} {
		t.Run(name, func(t *testing.T) {
			w, o := newPurger(t)
			older := w.stored()[0].Sequence
			o.saving = true
			o.commit(sized(batch("d", 1), 1))
			w.pass(time.Second)
			o.step()
			if o.save == nil || o.save.Sequence <= older {
				t.Fatalf("saved is %+v", o.save)
			}
			w.keep(o.save)
			for _, reason := range []string{"its log is older than the object store", ""} {
				o.finishLoad()
				o.settle()
				o.loading = true
				o.step(core.Behind{Reason: reason})
				o.step()
			}
			reported(o)
			o.archive("e", "m2")
			for o.purge != nil {
				if o.purge.Below > older {
					t.Errorf("purged is %+v, and the older of two snapshots is that of %d", o.purge, older)
				}
				o.finishPurge()
				w.pass(time.Second)
				o.step()
			}
			if begins := w.log[0].Sequence; begins != older {
				t.Errorf("the log begins with entry %d", begins)
			}
		})
	}
}

func TestPurgedLogContinuesFromEitherSnapshot(t *testing.T) {
	for name, damage := range map[string]func(w *world){
		"both":      func(*world) {},
		"the older": func(w *world) { w.snapshots[306][30] ^= 1 },
		"the newer": func(w *world) { delete(w.snapshots, 304) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newPurged(t)
			want := w.history()
			damage(w)
			o := w.leader("second")
			if !o.core.Stats().Leading || w.history() != want {
				t.Fatalf("%+v, damage %q", o.core.Stats(), o.damage)
			}
			o.commit(sized(batch("a", 301), 1000))
			if j := o.job(); j.Base != want {
				t.Errorf("the job builds on %+v, want %+v", j.Base, want)
			}
			o.step(release(floored(batch("c", 1), 1)))
			if got := answers(t, o.take()); len(got) != 1 || got[0].code != 0 {
				t.Errorf("a batch from before the purge is answered with %+v", got)
			}
		})
	}
}

func TestPurgedLogWithoutASnapshotIsDamaged(t *testing.T) {
	w := newPurged(t)
	clear(w.snapshots)
	o := w.start("second")
	o.settle()
	o.expectDamage("its log was purged up to entry 303, or has lost its beginning, and none of its snapshots can be read")
}

func TestSnapshotThatEndsBeforeThePurgeIsOfNoUse(t *testing.T) {
	w := newPurged(t)
	delete(w.snapshots, 306)
	w.purge(305)
	o := w.start("second")
	o.settle()
	o.expectDamage("the newest snapshot covers its log up to entry 304 and offset")
}

func TestSnapshotsThatCannotBeLookedForMayComeBack(t *testing.T) {
	w := newPurged(t)
	kept := w.snapshots
	w.snapshots, w.trouble = map[uint64][]byte{}, "no leader"
	o := w.start("second")
	o.settle()
	for range 20 {
		w.pass(400 * time.Millisecond)
		o.step()
		o.settle()
	}
	if len(o.damage) != 0 || o.core.Stats().Leading {
		t.Fatalf("after 8 s: %q", o.damage)
	}
	w.pass(3 * time.Second)
	o.step()
	o.step()
	o.settle()
	w.pass(time.Second)
	o.step()
	o.expectDamage("none of its snapshots can be read: no leader")
	w.snapshots, w.trouble = kept, ""
	w.pass(10 * time.Second)
	o.step()
	o.step()
	o.settle()
	if !o.core.Stats().Leading {
		t.Error("it does not lead when the snapshots are back")
	}
}

func TestOwnerThatIsOvertakenByAPurgeTriesNewerSnapshots(t *testing.T) {
	for name, reads := range map[string]int{"before it reads": 0, "while it reads": 1} {
		t.Run(name, func(t *testing.T) {
			w, o := newPurger(t)
			w.settings.ReadEntries = 2
			for n := range 10 {
				o.commit(sized(batch(fmt.Sprint("d", n), 1), 1))
			}
			next := w.start("second")
			for range reads {
				next.answerRead()
			}
			o.archive("c", "m2")
			o.finishPurge()
			for n := range 300 {
				o.commit(sized(batch(fmt.Sprint("e", n), 1), 1))
			}
			o.archive("f", "m3")
			w.pass(time.Second)
			o.step()
			o.finishPurge()
			next.settle()
			if s := next.core.Stats(); !s.Leading || len(next.damage) != 0 {
				t.Errorf("the new owner: %+v, damage %q", s, next.damage)
			}
		})
	}
}

func TestHoleIsDamageIfNoNewerSnapshotExists(t *testing.T) {
	w, o := newPurger(t)
	for n := range 10 {
		o.commit(sized(batch(fmt.Sprint("d", n), 1), 1))
	}
	w.log = append(w.log[:308:308], w.log[310:]...)
	next := w.start("second")
	next.settle()
	next.expectDamage("its log has lost the entries 309 to 310")
}

func TestScrubLeavesOutWhatIsArchived(t *testing.T) {
	w := newPurged(t)
	o := w.leader("second")
	want := core.Scrub{From: w.history().End.Sequence + 1, To: 306}
	if o.scrub == nil || *o.scrub != want {
		t.Fatalf("scrubbed is %+v, want %+v", o.scrub, want)
	}
	o.finishPurge() // a new owner does not know what was purged
	// What is purged during the scrub is no damage.
	o.archive("g", "m3")
	for n := range 300 {
		o.commit(sized(batch(fmt.Sprint("h", n), 1), 1))
	}
	o.archive("i", "m4")
	w.pass(time.Second)
	o.step()
	if o.purge == nil {
		t.Fatal("nothing is purged")
	}
	o.scrub = nil
	o.step(core.Scrubbed{Damage: "entry 306 cannot be read"})
	o.step()
	if !o.core.Stats().Leading || o.scrub != nil {
		t.Errorf("%+v, scrubbed is %+v", o.core.Stats(), o.scrub)
	}
}

func TestDamageThatAScrubFindsBehindThePurgeCounts(t *testing.T) {
	w := newPurged(t)
	o := w.leader("second")
	o.step(core.Scrubbed{Damage: "entry 306 cannot be read"})
	o.step()
	o.settle()
	o.expectDamage("entry 306 cannot be read")
	if !strings.Contains(fmt.Sprint(o.damage), "306") || w.history() == (messages.History{}) {
		t.Error(o.damage)
	}
}
