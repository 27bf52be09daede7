package core_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestAbandonedTicketIsNotAppendedAfterSuccessor(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1))
	o.commit(batch("a", 3)) // 2 was given up: the floor is 3
	o.take()
	o.commit(batch("a", 2))
	o.expect()
	w.expectNumbers("a", 1, 3)
	next := w.leader("second")
	next.commit(batch("a", 2))
	next.expect()
	w.expectNumbers("a", 1, 3)
}

func TestAbandonedTicketBelowFloorIsNotAppended(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1))
	o.commit(floored(batch("a", 4), 3)) // 2 was given up, 3 is missing
	o.take()
	o.commit(batch("a", 2))
	o.expect()
	w.expectNumbers("a", 1)
	o.commit(batch("a", 3))
	w.expectNumbers("a", 1, 3)
}

func TestGivenUpTicketInFlightIsStillCommitted(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1)))
	o.step(release(batch("a", 2))) // its floor says that 1 is resolved
	o.settle()
	w.expectNumbers("a", 1, 2)
	o.take()
	o.step(release(batch("a", 1)))
	o.expect() // it is resolved
}

func TestLanesDoNotWaitForEachOther(t *testing.T) {
	w, o := newLeader(t)
	o.commit(floored(batch("a", 2), 1), batch("b", 1)) // a's first was lost
	w.expectNumbers("a")
	w.expectNumbers("b", 1)
}

// asked returns what the sequencer was asked to release again.
func asked(o *owner) []messages.LaneNumbers {
	var all []messages.LaneNumbers
	for _, m := range sentOf[messages.ReleaseAgain](o) {
		all = append(all, m.Lanes...)
	}
	return all
}

func expectAsked(t *testing.T, o *owner, lane string, number uint64) {
	t.Helper()
	got := asked(o)
	if len(got) != 1 || got[0].Lane != lane || !slices.Equal(got[0].Numbers, []uint64{number}) {
		t.Fatalf("the sequencer is asked for %+v, want %s from %d", got, lane, number)
	}
}

func TestGapIsAskedForOncePerHeartbeat(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1))
	o.take()
	lost := batches("a", 1, 5)
	o.step(release(lost[2]), release(lost[3]))
	expectAsked(t, o, "a", 2)
	w.pass(w.settings.Heartbeat - 1)
	o.step(release(lost[2], lost[3], lost[4]))
	if again := asked(o); len(again) != 0 {
		t.Fatalf("asked within the heartbeat: %+v", again)
	}
	w.pass(1)
	o.step(release(lost[4]))
	expectAsked(t, o, "a", 2)

	o.commit(lost[1:]...)
	w.expectNumbers("a", 1, 2, 3, 4, 5)
	if again := asked(o); len(again) != 0 {
		t.Fatalf("asked although all is there: %+v", again)
	}
}

func TestGapAfterARepairedGapIsAskedForAtOnce(t *testing.T) {
	_, o := newLeader(t)
	lost := batches("a", 1, 5)
	o.step(release(lost[1]))
	expectAsked(t, o, "a", 1)
	o.step(release(lost[0]))
	o.step(release(lost[4]))
	expectAsked(t, o, "a", 2)
}

func TestGapIsAskedForAtOnceAfterARebuild(t *testing.T) {
	_, o := newLeader(t)
	o.step(release(floored(batch("a", 2), 1), batch("b", 1)))
	expectAsked(t, o, "a", 1)
	o.loseAppend()
	o.settle()
	o.take()
	o.step(release(floored(batch("a", 2), 1)))
	expectAsked(t, o, "a", 1)
}

func TestGapIsAskedForFromTheFloor(t *testing.T) {
	_, o := newLeader(t)
	o.commit(batch("a", 1))
	o.take()
	o.step(release(floored(batch("a", 6), 4))) // 2 and 3 are resolved
	expectAsked(t, o, "a", 4)
}

func TestFirstReleaseOfALaneIsLost(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(floored(batch("a", 2), 1)))
	expectAsked(t, o, "a", 1)
	o.commit(batches("a", 1, 2)...)
	w.expectNumbers("a", 1, 2)
}

func TestDuplicationCausesNoRequests(t *testing.T) {
	w, o := newLeader(t)
	all := batches("a", 1, 50)
	for i := range all {
		o.step(release(all[:i+1]...), release(all[:i+1]...))
		if i%7 == 0 {
			o.settle()
		}
		o.step(release(all[i/2]), release(all[i]))
		w.pass(50 * time.Millisecond)
	}
	o.settle()
	if again := asked(o); len(again) != 0 {
		t.Fatalf("asked for %+v", again)
	}
	if n := len(w.numbers("a")); n != 50 {
		t.Fatalf("%d batches in the log, want 50", n)
	}
	if s := o.core.Stats(); s.Asks != 0 || s.Repeats == 0 {
		t.Errorf("counted %d asks and %d repetitions", s.Asks, s.Repeats)
	}
}

func TestRepeatedReleaseInFlightIsIgnored(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1)))
	o.step(release(batch("b", 1)), release(batch("a", 1)), release(batch("b", 1)))
	o.settle()
	o.expect(ok("a", 1, 0), ok("b", 1, 2))
	w.expectNumbers("a", 1)
	w.expectNumbers("b", 1)
}

func TestRepeatedReleaseGetsOffset(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batches("a", 1, 3)...)
	o.take()
	o.step(release(batches("a", 1, 3)...))
	if o.append != nil {
		t.Fatal("a repetition is appended")
	}
	o.expect(ok("a", 1, 0), ok("a", 2, 2), ok("a", 3, 5))

	// The owner dies between append and outcome.
	next := w.leader("second")
	next.step(release(batches("a", 1, 3)...))
	next.expect(ok("a", 1, 0), ok("a", 2, 2), ok("a", 3, 5))
	w.expectNumbers("a", 1, 2, 3)
}

func TestOffsetsBelowTheFloorAreForgotten(t *testing.T) {
	_, o := newLeader(t)
	o.commit(batches("a", 1, 3)...)
	o.take()
	o.step(release(floored(batch("a", 3), 3)))
	o.expect(ok("a", 3, 5))
	o.step(release(batches("a", 1, 3)...)) // late, with a stale floor
	o.expect(ok("a", 3, 5))
}

func TestHighestFloorCounts(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1))
	o.step(release(floored(batch("a", 9), 5))) // lost: 5 to 8; resolved: 2 to 4
	o.take()
	o.commit(floored(batch("a", 5), 2))
	w.expectNumbers("a", 1, 5)
	o.commit(floored(batch("a", 4), 2))
	w.expectNumbers("a", 1, 5)
}

// evictLane makes the owner forget lane a with the number 10 as its last.
func evictLane(t *testing.T) (*world, *owner) {
	t.Helper()
	w, o := newLeader(t)
	o.commit(batch("a", 10))
	w.pass(w.settings.LaneExpiry + 2*time.Second)
	o.step()
	if n := o.core.Stats().Lanes; n != 0 {
		t.Fatalf("%d lanes are left", n)
	}
	o.take()
	return w, o
}

func TestUnknownLaneStartsAboveEvictedOnes(t *testing.T) {
	w, o := evictLane(t)
	o.commit(batch("a", 10), batch("a", 9), batch("b", 8))
	o.expect(
		refused("a", 10, protocol.CodeNotCommitted),
		refused("b", 8, protocol.CodeNotCommitted), // a's 9 lies below a floor seen meanwhile
	)
	w.expectNumbers("a", 10)
	w.expectNumbers("b")
	o.commit(batch("a", 11))
	o.commit(batch("b", 13)) // its floor
	w.expectNumbers("a", 10, 11)
	w.expectNumbers("b", 13)
}

func TestUnknownLaneStartsAnywhereInANewFrontendEpoch(t *testing.T) {
	w, o := evictLane(t)
	o.step(ofFrontend(2, batch("a", 1)))
	o.settle()
	w.expectNumbers("a", 10, 1)
}

func TestRepetitionsKeepALane(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1))
	o.take()
	for range 3 {
		w.pass(w.settings.LaneExpiry - time.Second)
		o.step(release(batch("a", 1)))
		o.expect(ok("a", 1, 0))
	}
}

func TestUnknownLaneIsRequestedFromAboveEvictedOnes(t *testing.T) {
	_, o := evictLane(t)
	o.step(release(floored(batch("b", 14), 4)))
	expectAsked(t, o, "b", 11)
}

func TestReplayEvictsLanesByLogTime(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 10))
	for n := range uint64(16) {
		w.pass(w.settings.LaneExpiry / 8)
		o.commit(batch("b", 11+n))
	}
	next := w.leader("second")
	if n := next.core.Stats().Lanes; n != 1 {
		t.Fatalf("%d lanes after recovery, want 1", n)
	}
	next.commit(batch("a", 10), batch("c", 9))
	w.expectNumbers("a", 10)
	w.expectNumbers("c")
}

// TestReplayKeepsLanesAcrossAJumpOfTheTime has an owner whose clock is days ahead of that of the owner
// before it, and a third one that reads the entries of both. The tickets of the first one may be unresolved.
func TestReplayKeepsLanesAcrossAJumpOfTheTime(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 10))
	w.pass(72 * time.Hour)
	second := w.leader("second")
	second.commit(batch("b", 1))
	third := w.leader("third")
	third.step(release(batch("a", 10)), release(batch("b", 1)))
	third.expect(ok("a", 10, 0), ok("b", 1, 2))
}

// TestReplayKeepsLanesWhenTheClockWasSet has an owner whose clock is set ahead between two entries.
func TestReplayKeepsLanesWhenTheClockWasSet(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 10))
	w.pass(72 * time.Hour)
	o.commit(batch("b", 1))
	next := w.leader("second")
	next.step(release(batch("a", 10)), release(batch("b", 1)))
	next.expect(ok("a", 10, 0), ok("b", 1, 2))
}

// TestReplayKeepsLanesOfManyOwners has many owners that end soon, with clocks of which each is ahead of the
// one before. Each of them took a little time.
func TestReplayKeepsLanesOfManyOwners(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 10))
	for n := range uint64(20) {
		w.pass(72 * time.Hour)
		o = w.leader(fmt.Sprint("owner ", n))
		w.pass(w.settings.LaneExpiry / 8)
		o.commit(batch("b", 1+n))
	}
	last := w.leader("last")
	last.step(release(batch("a", 10)))
	last.expect(ok("a", 10, 0))
}

func TestRecoveredLanesAreKept(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 10))
	w.pass(time.Hour)
	next := w.leader("second")
	next.step(release(batch("a", 10)))
	next.expect(ok("a", 10, 0))
}

func TestLaneWithABatchInFlightIsNotEvicted(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1)))
	w.pass(10 * w.settings.LaneExpiry)
	o.step(release(batch("a", 1)), release(batch("b", 1)))
	w.pass(10 * w.settings.LaneExpiry)
	o.step()
	if n := o.core.Stats().Lanes; n != 2 {
		t.Fatalf("%d lanes, want 2", n)
	}
	o.settle()
	w.expectNumbers("a", 1)
	w.expectNumbers("b", 1)
}
