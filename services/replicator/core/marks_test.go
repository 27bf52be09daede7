package core_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

// newMarked returns a world in which marks are kept as owners write them, with a leader.
func newMarked(t *testing.T) (*world, *owner) {
	w := newWorld(t)
	first := messages.Position{Sequence: 1}
	w.marked = true
	w.mark = core.FoundMark{Mark: messages.Mark{Owner: "creation", Written: first, Reserved: first}, Revision: 1, Exists: true}
	o := w.leader("first")
	return w, o
}

// expectDamage checks that the partition is read-only, and why.
func (o *owner) expectDamage(want string) {
	o.w.t.Helper()
	told := sentOf[messages.ReadOnly](o)
	if len(o.damage) != 1 || !strings.Contains(o.damage[0], want) || len(told) == 0 || told[0].Damage != o.damage[0] {
		o.w.t.Fatalf("damage is %q, frontends are told %+v, want one that says %q", o.damage, told, want)
	}
	if s := o.core.Stats(); s.Leading || s.Damage != o.damage[len(o.damage)-1] || s.Unbegun != told[0].Unbegun || o.append != nil {
		o.w.t.Fatalf("a read-only partition is led: %+v", s)
	}
}

// cut removes the entries above a sequence, as damage does.
func (w *world) cut(last uint64) {
	w.streamEnd = last
	w.log = slices.DeleteFunc(w.log, func(e core.LoggedEntry) bool { return e.Sequence > last })
}

func TestOwnerAppendsOnlyWhatItHasReserved(t *testing.T) {
	w, o := newMarked(t)
	o.marking = true
	check := func() {
		t.Helper()
		if end := (messages.Position{Sequence: w.streamEnd, Offset: w.end()}); !w.mark.Mark.Reserved.Covers(end) {
			t.Fatalf("the log ends at %+v, reserved is %+v", end, w.mark.Mark.Reserved)
		}
	}
	large := func(number uint64) messages.StagedBatch {
		b := floored(batch("a", number), 1)
		b.Records = 700
		return b
	}
	for n := uint64(1); n <= 40; n++ {
		o.step(release(large(n)))
		for o.append != nil || o.mark != nil {
			if o.append != nil {
				o.ack()
				check()
			}
			if o.mark != nil {
				o.finishMark()
			}
		}
	}
	if got := w.end(); got != 40*700 {
		t.Errorf("the log ends at offset %d", got)
	}
	if n := o.core.Stats().Marks; n > 25 {
		t.Errorf("%d marks were written for 40 appends", n)
	}
}

func TestBatchThatTakesMoreThanASpanIsAppended(t *testing.T) {
	w, o := newMarked(t)
	b := batch("a", 1)
	b.Records = 5_000_000
	o.commit(b)
	if w.end() != 5_000_000 {
		t.Fatalf("the log ends at %d", w.end())
	}
	if r := w.mark.Mark.Reserved; r.Offset < 5_000_000 {
		t.Errorf("reserved is %+v", r)
	}
}

func TestAppendsContinueDuringReservation(t *testing.T) {
	w, o := newMarked(t)
	o.marking = true
	b := batch("a", 1)
	b.Records = 600 // more than half of the first span
	o.step(release(b))
	o.ack()
	o.step(release(floored(batch("a", 2), 2)))
	if o.mark == nil || o.append == nil {
		t.Fatalf("mark under way: %+v, append under way: %+v", o.mark, o.append)
	}
	if written := o.mark.Mark.Written; written.Offset != 600 || written.Sequence != w.streamEnd {
		t.Errorf("the mark says that %+v is written", written)
	}
	o.ack()
	o.finishMark()
	w.expectNumbers("a", 1, 2)
}

func TestBatchThatWaitsForOffsetsIsReservedOnce(t *testing.T) {
	w, o := newMarked(t)
	b := batch("a", 1)
	b.Records = 600
	o.commit(b)
	o.marking = true
	b = floored(batch("a", 2), 2)
	b.Records = 600 // more than is left of the first span
	o.step(release(b))
	o.step()
	if o.mark == nil || o.append != nil {
		t.Fatalf("mark under way: %+v, append under way: %+v", o.mark, o.append)
	}
	o.finishMark()
	if o.append == nil || o.mark != nil {
		t.Fatalf("mark under way: %+v, append under way: %+v", o.mark, o.append)
	}
	o.ack()
	w.expectNumbers("a", 1, 2)
}

func TestCrashLeavesOutReservedOffsets(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 2)) // three records
	reserved := w.mark.Mark.Reserved
	next := w.leader("second")
	if want := []core.Gap{{From: 3, To: reserved.Offset}}; !slices.Equal(next.gaps, want) {
		t.Fatalf("left out is %+v, want %+v", next.gaps, want)
	}
	next.commit(batch("b", 1))
	next.expect(ok("b", 1, reserved.Offset))
	w.end()
	// What was reserved once is never given out, however many owners crash.
	third := w.leader("third")
	if len(third.gaps) != 1 || third.gaps[0].From != reserved.Offset+2 {
		t.Errorf("the next owner leaves out %+v", third.gaps)
	}
	third.commit(batch("b", 2))
	third.expect(ok("b", 2, third.gaps[0].To))
	w.end()
}

func TestCrashBeforeTermRecordKeepsReservation(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 2))
	reserved := w.mark.Mark.Reserved
	dead := w.start("second")
	for dead.append == nil {
		dead.answerRead()
	}
	next := w.leader("third") // the term record of the second one never comes
	if len(next.gaps) != 1 || next.gaps[0].From != 3 || next.gaps[0].To <= reserved.Offset {
		t.Errorf("left out is %+v, reserved was %+v", next.gaps, reserved)
	}
	w.end()
}

func TestOwnerThatStopsCleanlyLeavesNoGap(t *testing.T) {
	w, o := newMarked(t)
	o.step(release(batch("a", 2)))
	o.step(core.Stopping{}, release(batch("b", 1)))
	if o.ended {
		t.Fatal("it has stopped with an append under way")
	}
	o.ack()
	if !o.ended || !w.mark.Mark.Exact() || w.mark.Mark.Written != (messages.Position{Sequence: 3, Offset: 3}) {
		t.Fatalf("ended: %t, with the mark %+v", o.ended, w.mark)
	}
	if o.append != nil {
		t.Fatal("it continues to append")
	}
	next := w.leader("second")
	if len(next.gaps)+len(next.warnings) != 0 {
		t.Errorf("left out is %+v, warnings are %q", next.gaps, next.warnings)
	}
	next.commit(batch("b", 1))
	next.expect(ok("b", 1, 3))
}

func TestSpanDoesNotGrowWhileOffsetsAreHardlyUsed(t *testing.T) {
	w, o := newMarked(t)
	for n := uint64(1); n <= 30; n++ {
		o.commit(floored(batch("a", n), n))
		if unused := w.mark.Mark.Reserved.Offset - w.end(); unused > 1<<10 {
			t.Fatalf("after %d batches, one a second, %d offsets are reserved and not used", n, unused)
		}
		w.pass(time.Second)
		o.step()
		if !w.mark.Mark.Exact() {
			t.Fatalf("an idle owner's mark is %+v", w.mark)
		}
		w.pass(100 * time.Millisecond)
	}
}

func TestCrashOfAnIdleOwnerLeavesNoGap(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 2))
	w.pass(time.Second)
	o.step()
	if !w.mark.Mark.Exact() {
		t.Fatalf("an idle owner's mark is %+v", w.mark)
	}
	if next := w.leader("second"); len(next.gaps) != 0 {
		t.Errorf("left out is %+v", next.gaps)
	}
}

func TestIdleOwnerReservesBeforeItAppendsAgain(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 2))
	w.pass(time.Second)
	o.marking = true
	o.step()
	o.step(release(floored(batch("a", 3), 3)))
	if o.mark == nil || o.append != nil {
		t.Fatal("it appends while it writes that the log ends here")
	}
	o.finishMark()
	if o.mark == nil || o.append != nil {
		t.Fatal("it appends what it has not reserved")
	}
	o.finishMark()
	o.settle()
	w.expectNumbers("a", 2, 3)
}

func TestForeignMarkMakesOwnerStartOver(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 2))
	next := w.leader("second")
	o.take()
	w.pass(time.Second)
	o.step() // it wants to say where the log ends
	o.settle()
	if o.fenced == 0 {
		t.Error("it continues beside the younger one")
	}
	if !next.core.Stats().Leading {
		t.Error("the younger one leads no more")
	}
}

func TestLogThatIsShorterThanItsMarkIsDamaged(t *testing.T) {
	for name, cut := range map[string]uint64{"one entry": 5, "all but the first": 1, "everything": 0} {
		t.Run(name, func(t *testing.T) {
			w, o := newMarked(t)
			for n := uint64(1); n <= 4; n++ {
				o.commit(floored(batch("a", n), 1))
			}
			o.step(core.Stopping{})
			w.cut(cut)
			next := w.start("second")
			next.settle()
			next.expectDamage("and once had entry 6 and ended at offset 8 at least")
		})
	}
}

func TestLogCutInsideReservationContinuesAboveIt(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 1))
	o.commit(batch("a", 2))
	lost := w.end()
	reserved := w.mark.Mark.Reserved
	w.cut(w.streamEnd - 1)
	next := w.leader("second")
	if len(next.damage) != 0 || len(next.gaps) != 1 || next.gaps[0].To != reserved.Offset || reserved.Offset < lost {
		t.Errorf("damage %q, left out %+v; the lost record ended at %d", next.damage, next.gaps, lost)
	}
}

func TestLossOfAcknowledgedEntryIsDamage(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 1))
	o.commit(batch("a", 2))
	o.take()
	w.cut(w.streamEnd - 1)
	o.step(release(floored(batch("a", 3), 3)))
	o.settle()
	o.expectDamage("and the append of entry 4 up to offset 5 was acknowledged")
}

func TestEntriesThatAreMissingAreDamage(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(w *world)
		says   string
	}{
		"in the middle":      {func(w *world) { w.log = slices.Delete(w.log, 3, 5) }, "has lost the entries 4 to 5"},
		"at the beginning":   {func(w *world) { w.log = w.log[2:] }, "its log was purged up to entry 2, or has lost its beginning, and none of its snapshots can be read"},
		"the last one":       {func(w *world) { w.log = w.log[:5] }, "the last entry of its log is 6, and its entries from 6 on cannot be read"},
		"all, but not quite": {func(w *world) { w.log = nil }, "the last entry of its log is 6, and its entries from 1 on cannot be read"},
		"offsets":            {func(w *world) { w.log[4].Entry.BaseOffset++ }, "entry 5 of its log continues at offset"},
	} {
		t.Run(name, func(t *testing.T) {
			w, o := newMarked(t)
			for n := uint64(1); n <= 4; n++ {
				o.commit(floored(batch("a", n), 1))
			}
			c.damage(w)
			next := w.start("second")
			next.settle()
			next.expectDamage(c.says)
		})
	}
}

func TestEntryThatCannotBeDecodedIsDamage(t *testing.T) {
	w, _ := newMarked(t)
	next := w.start("second")
	next.read = nil
	next.step(core.LogRead{Entries: slices.Clone(w.log[:1]), Corrupt: "entry 2 is none"})
	next.expectDamage("entry 2 is none")
}

func TestDamagedLogIsReadAgain(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 1))
	lost := slices.Clone(w.log)
	o.step(core.Stopping{})
	w.cut(1)
	next := w.start("second")
	next.settle()
	next.expectDamage("its log ends with entry 1")
	for range 9 {
		w.pass(time.Second)
		next.step()
		if told := sentOf[messages.ReadOnly](next); len(told) != 1 || next.read != nil {
			t.Fatalf("after a second %d times told; reads: %+v", len(told), next.read)
		}
	}
	w.log, w.streamEnd = lost, uint64(len(lost))
	w.pass(time.Second)
	next.step()
	next.step()
	next.settle()
	if s := next.core.Stats(); !s.Leading || s.Damage != "" || len(next.damage) != 1 {
		t.Errorf("after its data was restored: %+v, damage %q", s, next.damage)
	}
}

func TestLogThatIsBeingCreatedIsNotDamaged(t *testing.T) {
	w := newWorld(t)
	w.marked, w.log, w.streamEnd = true, nil, 0
	o := w.start("first")
	o.settle()
	for range 3 {
		w.pass(w.settings.Heartbeat)
		o.step()
		o.settle()
	}
	if len(o.damage) != 0 || o.core.Stats().Leading {
		t.Fatalf("damage of an empty log: %q", o.damage)
	}
	w.put(messages.Entry{TopicID: orders.TopicID, Created: true})
	w.pass(w.settings.Heartbeat)
	o.step()
	o.settle()
	if !o.core.Stats().Leading || len(o.warnings)+len(o.gaps) != 0 {
		t.Errorf("after its creation: %+v, warnings %q, left out %+v", o.core.Stats(), o.warnings, o.gaps)
	}
}

func TestLogThatStaysEmptyIsReported(t *testing.T) {
	w := newWorld(t)
	w.marked, w.log, w.streamEnd = true, nil, 0
	o := w.start("first")
	o.settle()
	for range 60 {
		w.pass(w.settings.Heartbeat)
		o.step()
		o.settle()
	}
	o.expectDamage("its log is empty")
}

func TestLostMarkIsWarnedOf(t *testing.T) {
	for name, lose := range map[string]func(w *world, old core.FoundMark){
		"missing": func(w *world, _ core.FoundMark) { w.mark = core.FoundMark{} },
		"older":   func(w *world, old core.FoundMark) { w.mark = old },
	} {
		t.Run(name, func(t *testing.T) {
			w, o := newMarked(t)
			old := w.mark
			o.commit(batch("a", 2))
			o.step(core.Stopping{})
			old.Mark.Reserved = old.Mark.Written
			old.Revision = w.mark.Revision
			lose(w, old)
			next := w.leader("second")
			if len(next.warnings) != 1 || len(next.gaps)+len(next.damage) != 0 {
				t.Errorf("warnings are %q, left out is %+v, damage is %q", next.warnings, next.gaps, next.damage)
			}
			next.commit(batch("b", 1))
			next.expect(ok("b", 1, 3))
		})
	}
}

func TestUnreadableMarkMakesPartitionReadOnly(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 2))
	o.step(core.Stopping{})
	mark := w.mark
	w.mark = core.FoundMark{Damage: "its mark cannot be read"}
	next := w.start("second")
	next.settle()
	next.expectDamage("its mark cannot be read")
	w.mark = mark
	w.pass(10 * time.Second)
	next.step()
	next.step()
	next.settle()
	next.commit(batch("b", 1))
	next.expect(ok("b", 1, 3))
}

func TestLogOfALaggingReplicaIsNotDamaged(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 1))
	o.step(core.Stopping{})
	whole := slices.Clone(w.log)
	w.settings.Patience = 2 * time.Second
	for _, lasts := range []time.Duration{time.Second, 3 * time.Second} {
		w.cut(2)
		next := w.start("second")
		next.settle()
		for range int(lasts / w.settings.Heartbeat) {
			w.pass(w.settings.Heartbeat)
			next.step()
			next.step()
			next.settle()
		}
		if damaged := len(next.damage) > 0; damaged != (lasts > w.settings.Patience) {
			t.Errorf("short of entries for %s: damage %q", lasts, next.damage)
		}
		w.log, w.streamEnd = slices.Clone(whole), uint64(len(whole))
	}
}

func TestLogWhoseStreamDoesNotExistIsReported(t *testing.T) {
	w, o := newMarked(t)
	o.commit(batch("a", 1))
	o.step(core.Stopping{})
	next := w.start("second")
	next.findNoLog()
	next.expectDamage("does not have its log")
	if next.core.Stats().Unbegun {
		t.Error("the log has a mark, and may begin yet")
	}
}

// The process that creates the topic may be frozen. Until it goes on, nothing shows that there was a log.
func TestLogWithoutAnyEvidenceMayBeginYet(t *testing.T) {
	w, _ := newMarked(t)
	w.mark, w.snapshots = core.FoundMark{}, nil
	o := w.start("first")
	o.findNoLog()
	o.expectDamage("the creation of the topic")
	if !o.core.Stats().Unbegun {
		t.Error("nothing shows that there was a log, and it counts as lost")
	}
	for range 70 {
		w.pass(w.settings.Heartbeat)
		o.step()
		o.settle()
	}
	if s := o.core.Stats(); !s.Leading || s.Damage != "" || s.Unbegun {
		t.Errorf("after the log has begun: %+v", s)
	}
}

// findNoLog answers reads with a log that JetStream does not have, for longer than a creation takes.
func (o *owner) findNoLog() {
	for range 70 {
		if o.read != nil {
			o.read = nil
			o.step(core.LogRead{Gone: true})
		}
		o.w.pass(o.w.settings.Heartbeat)
		o.step()
	}
}

// The older owner took the log, wrote that it ends there, and died. The younger one was
// frozen, and still holds what it had reserved before.
func TestClaimBackReservesAgain(t *testing.T) {
	w := newWorld(t)
	w.marked, w.started = true, 6
	first := messages.Position{Sequence: 1}
	w.mark = core.FoundMark{Mark: messages.Mark{Owner: "creation", Written: first, Reserved: first}, Revision: 1, Exists: true}
	young := w.leader("young")
	young.commit(batch("a", 1))
	w.term("old", 6)
	end := messages.Position{Sequence: w.streamEnd, Offset: w.end()}
	w.mark = core.FoundMark{Mark: messages.Mark{Owner: "old", Written: end, Reserved: end}, Revision: w.mark.Revision + 1, Exists: true}

	young.step(release(batch("a", 2)))
	for young.append != nil || young.read != nil {
		if young.append == nil {
			young.answerRead()
			continue
		}
		if a := young.append; a.Expected == w.streamEnd && a.Expected >= w.mark.Mark.Reserved.Sequence {
			t.Fatalf("entry %d is appended, reserved is %+v", a.Expected+1, w.mark.Mark.Reserved)
		}
		young.ack()
	}
	young.commit(batch("a", 2))
	w.expectNumbers("a", 1, 2)
}

// The answer to the first attempt to write the mark was lost, and the second one finds it.
func TestConflictWithAMarkOfItsOwnIsNone(t *testing.T) {
	w, o := newMarked(t)
	o.marking = true
	w.pass(time.Minute)
	o.step()
	if o.mark == nil {
		t.Fatal("no mark is written")
	}
	w.keepMark(o.mark)
	o.step(core.MarkConflict{Mark: o.mark.Mark, Found: w.mark})
	if s := o.core.Stats(); !s.Leading {
		t.Fatalf("the owner has started over: %+v", s)
	}
	o.marking = false
	o.commit(batch("a", 1))
	o.expect(ok("a", 1, 0))
}
