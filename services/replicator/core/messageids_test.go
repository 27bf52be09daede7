package core_test

import (
	"testing"
	"time"

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

	w.pass(2 * time.Second) // counted from the time of the log
	next.commit(named(batch("b", 2), "x"))
	next.expect(ok("b", 2, 5))
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
	w.pass(2)
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

func TestMessageIDsOfASnapshotKeepTheirTimes(t *testing.T) {
	w, o := newSaver(t)
	o.commit(named(batch("a", 1), "x"))
	w.pass(100 * time.Second)
	o.commit(named(batch("a", 2), "y"))
	o = w.recovered("second", 0)
	w.pass(w.settings.IDWindow - 95*time.Second) // that of x is over
	o.commit(named(batch("a", 3), "y"))
	o.expect(duplicate("a", 3, 2))
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
