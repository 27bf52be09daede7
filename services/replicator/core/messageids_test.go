package core_test

import (
	"slices"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

func TestMessageIDOfACommittedBatchIsADuplicate(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1), named(batch("a", 2), "x"))
	o.take()
	o.step(release(named(batch("a", 3), "x")))
	if o.append != nil {
		t.Fatal("a duplicate of what is committed needs no append")
	}
	o.expect(duplicate("a", 3, 2))
	o.commit(batch("a", 4))
	w.expectNumbers("a", 1, 2, 4)

	// Releasing the duplicate again gives the same answer.
	o.take()
	o.step(release(named(floored(batch("a", 3), 3), "x")))
	o.expect() // resolved by now: the floor was 4
	o.step(release(named(batch("b", 1), "x")))
	o.step(release(named(batch("b", 1), "x")))
	o.expect(duplicate("b", 1, 2), duplicate("b", 1, 2))
	if s := o.core.Stats(); s.Duplicates != 2 {
		t.Errorf("counted %d duplicates", s.Duplicates)
	}
}

func TestMessageIDOfABatchInFlightJoinsIt(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("z", 1)))
	o.step(release(named(batch("a", 1), "x"), named(batch("b", 1), "x"))) // in one entry
	o.ack()
	o.step(release(named(batch("c", 1), "x"))) // while that entry is in flight
	o.take()
	o.settle()
	o.expect(ok("a", 1, 2), duplicate("b", 1, 2), duplicate("c", 1, 2))
	w.expectNumbers("b")
	w.expectNumbers("c")
	w.end()
}

func TestDuplicateOutlivesItsWindow(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("z", 1))
	o.step(release(named(batch("a", 1), "x")))
	o.step(release(named(batch("b", 1), "x"), batch("c", 1)))
	o.ack()
	o.take()
	w.pass(w.settings.IDWindow + 1) // the log is slow, the id expires
	o.step()
	o.settle()
	o.expect(ok("c", 1, 4), duplicate("b", 1, 2))
}

func TestDuplicateKeepsItsPlaceInTheLane(t *testing.T) {
	w, o := newLeader(t)
	o.commit(named(batch("a", 1), "x"))
	o.take()
	o.step(release(floored(batch("a", 2), 2)))
	o.step(release(named(floored(batch("a", 3), 2), "x"), floored(batch("a", 4), 2)))
	o.expect()
	o.settle()
	w.expectNumbers("a", 1, 2, 4)
	o.expect(ok("a", 2, 2), ok("a", 4, 5), duplicate("a", 3, 0))
}

func TestDuplicateOfABatchThatWasLostIsAppended(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(named(batch("a", 1), "x")))
	o.step(release(named(batch("b", 1), "x")))
	o.loseAppend()
	o.settle()
	o.expect()
	o.commit(named(batch("b", 1), "x"))
	o.commit(named(batch("a", 1), "x"))
	o.expect(ok("b", 1, 0), duplicate("a", 1, 0))
	w.expectNumbers("a")
	w.expectNumbers("b", 1)
}

func TestMessageIDIsKnownAfterRecovery(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1), named(batch("a", 2), "x"))
	w.pass(w.settings.IDWindow - time.Second)
	next := w.leader("second")
	next.step(release(named(batch("b", 1), "x")))
	next.expect(duplicate("b", 1, 2))

	w.pass(w.settings.IDWindow - time.Second) // counted from the beginning of the term
	next.step(release(named(batch("b", 2), "x")))
	next.expect(duplicate("b", 2, 2))
	w.pass(2 * time.Second)
	next.commit(named(batch("b", 3), "x"))
	next.expect(ok("b", 3, 5))
}

// TestMessageIDsOutlastAClockThatIsAhead has an owner whose clock is days ahead of that of the owner before
// it, and a third one that reads the entries of both. The batch of the first one may be sent again.
func TestMessageIDsOutlastAClockThatIsAhead(t *testing.T) {
	w, o := newLeader(t)
	o.commit(named(batch("a", 1), "x"))
	w.pass(72 * time.Hour)
	second := w.leader("second")
	second.commit(named(batch("b", 1), "x"), named(batch("b", 2), "y"))
	second.expect(ok("b", 2, 2), duplicate("b", 1, 0))
	third := w.leader("third")
	third.commit(named(batch("c", 1), "x"), named(batch("c", 2), "y"))
	third.expect(duplicate("c", 1, 0), duplicate("c", 2, 2))
}

// TestReplayKeepsMessageIDsWhenTheClockWasSet has an owner whose clock is set ahead between two entries.
func TestReplayKeepsMessageIDsWhenTheClockWasSet(t *testing.T) {
	w, o := newLeader(t)
	o.commit(named(batch("a", 1), "x"))
	w.pass(72 * time.Hour)
	o.commit(batch("b", 1))
	next := w.leader("second")
	next.commit(named(batch("c", 1), "x"))
	next.expect(duplicate("c", 1, 0))
}

func TestReplayForgetsMessageIDsByLogTime(t *testing.T) {
	w, o := newLeader(t)
	o.commit(named(batch("a", 1), "x"))
	for n := uint64(1); n < 200; n++ {
		w.pass(w.settings.LaneExpiry / 8)
		o.commit(batch("b", n))
	}
	if n := w.leader("second").core.Stats().IDs; n != 0 {
		t.Errorf("%d ids are remembered", n)
	}
}

func TestMessageIDMayBeUsedAgainAfterItsWindow(t *testing.T) {
	w, o := newLeader(t)
	o.commit(named(batch("a", 1), "x"))
	w.pass(w.settings.IDWindow)
	o.step(release(named(batch("b", 1), "x")))
	o.take()
	w.pass(1)
	o.commit(named(batch("b", 2), "x"))
	o.expect(ok("b", 2, 2))
	if n := o.core.Stats().IDs; n != 1 {
		t.Errorf("%d ids are remembered", n)
	}

	// The second use has a window of its own, also in the log.
	w.pass(w.settings.IDWindow - 1)
	o.step(release(named(batch("c", 3), "x")))
	o.expect(duplicate("c", 3, 2))
	next := w.leader("second")
	next.step(release(named(batch("d", 3), "x")))
	next.expect(duplicate("d", 3, 2))
	w.pass(w.settings.IDWindow + 1)
	next.step()
	if n := next.core.Stats().IDs; n != 0 {
		t.Errorf("%d ids are remembered", n)
	}
}

func TestNewMessageIDsAreRefusedAtTheLimit(t *testing.T) {
	for name, limit := range map[string]func(*core.Settings){
		"number": func(s *core.Settings) { s.MaxIDs = 2 },
		"bytes":  func(s *core.Settings) { s.MaxNameBytes = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			limit(&w.settings)
			o := w.leader("first")
			o.commit(named(batch("a", 1), "x"))
			o.step(release(named(batch("a", 2), "y"))) // in flight, it counts
			o.step(release(named(batch("a", 3), "z"), batch("a", 4), named(batch("b", 1), "x")))
			o.take()
			o.settle()
			o.expect(ok("a", 2, 2), ok("a", 4, 5), duplicate("b", 1, 0), refused("a", 3, protocol.CodeOverloaded))
			w.expectNumbers("a", 1, 2, 4)

			w.pass(w.settings.IDWindow + 1)
			o.commit(named(batch("a", 5), "z"))
			o.expect(ok("a", 5, 7))
		})
	}
}

func TestTicketPrecedesMessageID(t *testing.T) {
	w, o := newLeader(t)
	o.commit(named(batch("a", 1), "x"))
	o.take()
	o.step(release(named(batch("a", 1), "x")))
	o.expect(ok("a", 1, 0)) // not a duplicate of itself
	o.step(release(named(floored(batch("a", 3), 2), "x")))
	expectAsked(t, o, "a", 2) // not its turn
	w.expectNumbers("a", 1)
}

func TestCommittedMessageIDSurvivesARebuild(t *testing.T) {
	_, o := newLeader(t)
	o.commit(named(batch("a", 1), "x"))
	o.step(release(batch("a", 2)))
	o.loseAppend()
	o.settle()
	o.take()
	o.step(release(named(batch("b", 1), "x")))
	o.expect(duplicate("b", 1, 0))
}

func TestMessageIDsOfASnapshotHaveAges(t *testing.T) {
	w, o := newSaver(t)
	o.commit(named(batch("a", 1), "x"))
	w.pass(100 * time.Second)
	o.commit(named(batch("a", 2), "y"))
	kept := w.stored()
	s := kept[0] // the newest
	var got []messages.SnapshotID
	for _, i := range s.MessageIDs {
		got = append(got, messages.SnapshotID{ID: i.ID, Offset: i.Offset, Time: s.Time - i.Time})
	}
	if want := []messages.SnapshotID{{ID: "x", Time: int64(100 * time.Second)}, {ID: "y", Offset: 2}}; !slices.Equal(got, want) {
		t.Errorf("the snapshot has ids of the ages %v, want %v", got, want)
	}
	o = w.recovered("second", 1)
	o.step(release(named(batch("b", 1), "x")), release(named(batch("b", 2), "y")))
	o.expect(duplicate("b", 1, 0), duplicate("b", 2, 2))
}

func TestMessageIDOfFutureExpires(t *testing.T) {
	w := newWorld(t)
	w.pass(time.Hour)
	o := w.leader("first")
	o.commit(named(batch("a", 1), "x"))
	w.pass(-time.Hour)
	o = w.leader("second")
	w.pass(w.settings.IDWindow + time.Second)
	o.commit(named(batch("a", 2), "x"))
	o.expect(ok("a", 2, 2))
}
