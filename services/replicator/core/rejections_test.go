package core_test

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

func TestRefusalNeedsBarrier(t *testing.T) {
	w, o := evictLane(t)
	before := len(w.log)
	o.step(release(batch("a", 9)))
	o.expect()
	o.settle()
	o.expect(refused("a", 9, protocol.CodeNotCommitted))
	if len(w.log) != before+1 || len(w.log[before].Entry.Batches) != 0 || w.log[before].Entry.Owner != "" {
		t.Fatalf("no barrier was appended: %+v", w.log[before:])
	}
	w.end()
}

func TestRefusalWaitsForLaterAppend(t *testing.T) {
	_, o := evictLane(t)
	o.step(release(batch("b", 11)))
	o.step(release(batch("a", 9))) // decided while an append is under way
	o.ack()
	o.expect(ok("b", 11, 2))
	o.ack()
	o.expect(refused("a", 9, protocol.CodeNotCommitted))
}

func TestReplacedOwnerNeverRefuses(t *testing.T) {
	w, o := evictLane(t)
	w.leader("second")
	o.step(release(batch("a", 9)))
	o.settle()
	o.expectStopped()
}

func TestRefusalSurvivesTakeover(t *testing.T) {
	w := newWorld(t)
	w.settings.MaxIDs = 1
	o := w.leader("first")
	o.commit(named(batch("a", 1), "x"), named(batch("a", 2), "y"))
	o.expect(ok("a", 1, 0), refused("a", 2, protocol.CodeOverloaded))
	second := w.leader("second")
	w.pass(w.settings.IDWindow + 1) // there is room again
	second.take()
	second.commit(named(batch("a", 2), "y")) // the sequencer has not heard that it is resolved
	second.expect(refused("a", 2, protocol.CodeNotCommitted))
}

func TestRefusalIsLoggedAfterOlderFrontend(t *testing.T) {
	w := newWorld(t)
	w.settings.MaxIDs = 1
	o := w.leader("first")
	younger := release(named(batch("b", 1), "y"))
	younger.Epoch = 2
	o.step(release(batch("a", 1)))             // under way
	o.step(release(named(batch("a", 2), "x"))) // goes into the next entry
	o.step(younger)                            // has no room
	o.settle()
	second := w.leader("second")
	w.pass(w.settings.IDWindow + 1) // there is room again
	second.step(younger)
	second.settle()
	second.expect(answer{id: ticket{2, "b", 1}, code: protocol.CodeNotCommitted})
}

func TestRefusalDoesNotApplyToNextFrontendEpoch(t *testing.T) {
	w := newWorld(t)
	w.settings.MaxIDs = 1
	o := w.leader("first")
	younger := release(batch("a", 1))
	younger.Epoch = 2
	o.commit(named(batch("a", 1), "x"))
	o.step(release(batch("c", 1)))             // under way
	o.step(release(named(batch("a", 2), "y"))) // has no room
	o.step(younger)                            // goes into the next entry
	o.settle()
	next := release(batch("a", 2))
	next.Epoch = 2
	second := w.leader("second")
	second.step(next)
	second.settle()
	second.expect(answer{id: ticket{2, "a", 2}, offset: 6})
}

func TestLoggedRefusalDoesNotApplyToNextFrontendEpoch(t *testing.T) {
	w := newWorld(t)
	w.settings.MaxIDs = 1
	o := w.leader("first")
	younger := func(number uint64) messages.Release {
		r := release(batch("a", number))
		r.Epoch = 2
		return r
	}
	o.commit(named(batch("a", 1), "x"))
	o.step(release(batch("c", 1)))               // under way
	o.step(release(named(batch("a", 900), "y"))) // has no room
	o.step(younger(1))
	o.settle()
	o.step(younger(2))
	o.loseAppend()
	o.settle()
	o.take()
	o.step(younger(2))
	o.settle()
	o.expect(answer{id: ticket{2, "a", 2}, offset: 6})
}

func TestRefusalWhoseBarrierIsLostIsForgotten(t *testing.T) {
	_, o := evictLane(t)
	o.step(release(batch("a", 9)))
	o.loseAck()
	o.settle()
	o.expect() // the sequencer releases again, or the deadline answers
	o.commit(batch("a", 9))
	o.expect(refused("a", 9, protocol.CodeNotCommitted))
}

func TestRefusedTicketStaysRefusedAfterRollBack(t *testing.T) {
	w := newWorld(t)
	w.settings.MaxIDs = 1
	o := w.leader("first")
	o.commit(named(batch("a", 1), "x"))
	o.take()
	o.commit(named(batch("a", 2), "y"))
	o.expect(refused("a", 2, protocol.CodeOverloaded))

	o.step(release(batch("b", 1)))
	o.loseAppend()
	o.settle()
	w.pass(w.settings.IDWindow + 1) // there is room again
	o.take()
	o.commit(named(batch("a", 2), "y"))
	o.expect(refused("a", 2, protocol.CodeNotCommitted))
	w.expectNumbers("a", 1)
}

func TestUnsentRefusalMayBecomeAcceptance(t *testing.T) {
	w := newWorld(t)
	w.settings.MaxIDs = 1
	o := w.leader("first")
	o.commit(named(batch("a", 1), "x"))
	o.step(release(named(batch("a", 2), "y"), floored(batch("a", 3), 2)))
	o.loseAppend()
	o.settle()
	w.pass(w.settings.IDWindow + 1) // there is room again
	o.take()
	o.commit(named(batch("a", 2), "y"), floored(batch("a", 3), 2))
	o.expect(ok("a", 2, 2), ok("a", 3, 5))
	w.expectNumbers("a", 1, 2, 3)
}

func TestLaneBeyondLimitStaysRefused(t *testing.T) {
	for name, limit := range map[string]func(*core.Settings){
		"number": func(s *core.Settings) { s.MaxLanes = 1 },
		"bytes":  func(s *core.Settings) { s.MaxNameBytes = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			limit(&w.settings)
			o := w.leader("first")
			o.commit(batch("a", 1))
			o.take()
			o.commit(batch("b", 2))
			o.expect(refused("b", 2, protocol.CodeOverloaded))
			w.pass(w.settings.LaneExpiry + time.Minute) // there is room again
			o.step()
			o.settle()
			o.take()
			o.commit(batch("b", 2))
			o.expect(refused("b", 2, protocol.CodeNotCommitted))
			w.expectNumbers("b")
		})
	}
}
