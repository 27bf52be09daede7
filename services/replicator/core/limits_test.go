package core_test

import (
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

func TestRaisedLimitAdmitsProducersAndOutlivesAReplay(t *testing.T) {
	w := newWorld(t)
	w.settings.MaxProducers = 1
	o := w.leader("first")
	o.step(release(of(7, 1, 0), of(8, 1, 0)))
	o.settle()
	got := answers(t, o.take())
	if len(got) != 2 || got[0] != ok("i:7", 1, 0) || got[1].code != protocol.CodeTooManyProducers {
		t.Fatalf("answers %+v", got)
	}
	o.step(core.Limits{ProducerExpiry: time.Hour, MaxProducers: 2}, release(of(8, 2, 0)))
	o.settle()
	o.expect(ok("i:8", 2, 1))
	// Another owner has written the mark, so the core forgets everything and reads the log.
	o.marking = true
	w.pass(2 * time.Second)
	o.step()
	o.marking = false
	terms := o.core.Stats().Terms
	o.step(core.MarkConflict{Mark: o.mark.Mark, Found: w.found()})
	o.settle()
	o.take()
	o.step(release(of(9, 1, 0), of(8, 3, 0), of(7, 2, 0)))
	o.settle()
	got = answers(t, o.take())
	if len(got) != 3 || got[0] != duplicate("i:8", 3, 1) || got[1] != duplicate("i:7", 2, 0) || !strings.Contains(got[2].detail, "at most 2 producers") {
		t.Errorf("after the log was read again, the answers are %+v", got)
	}
	if o.core.Stats().Terms != terms+1 {
		t.Error("the log was not read again")
	}
}

// A retry of a producer that the log has must not become a second batch because the topic
// allows fewer producers now.
func TestLoweredLimitForgetsNoProducerOfTheLog(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(of(7, 1, 0), of(8, 1, 0), of(9, 1, 0)))
	o.settle()
	o.take()
	w.settings.MaxProducers = 1
	next := w.leader("second")
	next.step(release(of(7, 2, 0), of(8, 2, 0), of(9, 2, 0), of(10, 1, 0)))
	next.settle()
	got := answers(t, next.take())
	if len(got) != 4 || got[3].code != protocol.CodeTooManyProducers {
		t.Fatalf("answers %+v", got)
	}
	for n, a := range got[:3] {
		if !a.duplicate || a.offset != int64(n) {
			t.Errorf("the retry of producer %d gets %+v", 7+n, a)
		}
	}
}

func TestShortenedExpiryEvictsWhoWasIdleForLonger(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(of(7, 1, 0)))
	o.settle()
	idle := func(d time.Duration) {
		for ; d > 0; d -= 20 * time.Second {
			w.pass(20 * time.Second)
			o.step()
			o.settle()
		}
	}
	idle(time.Hour)
	if n := o.core.Stats().Producers; n != 1 {
		t.Fatalf("%d producers are remembered", n)
	}
	o.step(core.Limits{ProducerExpiry: 2 * time.Hour, MaxProducers: 10})
	idle(10 * time.Minute)
	if n := o.core.Stats().Producers; n != 1 {
		t.Errorf("%d producers are remembered; the new expiry has not passed", n)
	}
	o.step(core.Limits{ProducerExpiry: 30 * time.Minute, MaxProducers: 10})
	idle(2 * time.Minute)
	if n := o.core.Stats().Producers; n != 0 {
		t.Errorf("%d producers are remembered beyond the new expiry", n)
	}
}
