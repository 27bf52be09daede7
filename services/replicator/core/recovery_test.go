package core_test

import (
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

func TestLogIsReadInSeveralParts(t *testing.T) {
	w, o := newLeader(t)
	for n := uint64(1); n <= 20; n++ {
		o.commit(named(floored(batch("a", n), 1), string(rune('a'+n))))
	}
	end := w.end()
	w.settings.ReadEntries = 4
	next := w.start("second")
	reads := 0
	for next.read != nil {
		reads++
		if next.read.Limit != 4 || next.read.From != uint64(4*(reads-1)+1) {
			t.Fatalf("read number %d is %+v", reads, next.read)
		}
		next.step(release(batch("b", 1))) // too early: it does not lead
		next.answerRead()
	}
	if reads != 6 || next.append == nil {
		t.Fatalf("after %d reads the term record is not under way", reads)
	}
	next.settle()
	next.take()
	next.step(release(floored(batch("a", 7), 1), named(batch("c", 1), "d")))
	next.expect(ok("a", 7, w.find(ticket{1, "a", 7})[0]), duplicate("c", 1, 5))
	if s := next.core.Stats(); !s.Leading || s.NextOffset != end || s.Term != 23 {
		t.Errorf("after recovery: %+v", s)
	}
}

func TestGrowingLogIsReadToItsEnd(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1))
	next := w.start("second")
	next.answerRead()
	o.commit(batch("a", 2)) // the term record loses its place
	next.ack()
	o.commit(batch("a", 3))
	next.settle()
	next.take()
	next.step(release(batches("a", 1, 3)...))
	next.expect(ok("a", 3, 5)) // 1 and 2 are resolved, the log says
	w.end()
}

func TestDecidesOnlyAfterTermRecord(t *testing.T) {
	w := newWorld(t)
	o := w.start("first")
	o.step(release(batch("a", 1)))
	o.answerRead()
	o.step(release(batch("a", 1)))
	if sent := o.take(); len(sent) != 0 {
		t.Fatalf("sent before it leads: %+v", sent)
	}
	o.ack()
	if o.append != nil {
		t.Fatal("a release from before the term is appended")
	}
	if w.log[1].Entry.Owner != "first" || w.log[1].Entry.TopicID != orders.TopicID {
		t.Errorf("the term record is %+v", w.log[1].Entry)
	}
}

func TestHelloIsRepeatedUntilAnswered(t *testing.T) {
	w := newWorld(t)
	w.leader("first")
	o := w.start("second")
	o.settle()
	hellos := func() int {
		n := 0
		for _, h := range sentOf[messages.Hello](o) {
			if h.Term != o.core.Stats().Term {
				t.Errorf("hello of term %d", h.Term)
			}
			n++
		}
		return n
	}
	expect := func(want int, when string) {
		t.Helper()
		if got := hellos(); got != want {
			t.Errorf("%d hellos %s, want %d", got, when, want)
		}
	}
	expect(1, "at the start")
	w.pass(w.settings.Heartbeat - 1)
	o.step()
	expect(0, "within the heartbeat")
	w.pass(1)
	o.step()
	expect(1, "after the heartbeat")
	reply := release()
	reply.HelloTerm = 2 // of the first owner's
	w.pass(w.settings.Heartbeat)
	o.step(reply)
	expect(1, "after an answer to another term")
	reply.HelloTerm = 3
	w.pass(w.settings.Heartbeat)
	o.step(reply)
	w.pass(w.settings.Heartbeat)
	o.step()
	expect(0, "after the answer")

	o.step(release(batch("a", 1)))
	o.loseAppend()
	o.settle()
	expect(1, "after a rebuild")
}

func TestHelloIsAnsweredBySequencerWithoutFrontend(t *testing.T) {
	w := newWorld(t)
	w.leader("first").commit(batch("a", 1))
	o := w.leader("second")
	o.step(messages.Release{Partition: orders, SequencerEpoch: 9, HelloTerm: o.core.Stats().Term})
	w.pass(w.settings.Heartbeat)
	o.step()
	if again := sentOf[messages.Hello](o); len(again) != 0 {
		t.Error("an idle partition is sent Hello without end")
	}
}

func TestRecoveryIsAnnounced(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1)))
	o.loseAck() // no frontend is told of entry 3
	o.settle()
	announced := sentOf[messages.Committed](o)
	if len(announced) != 1 || announced[0].Sequence != 4 {
		t.Fatalf("announced %+v, want the term record at 4", announced)
	}
	entry, err := messages.DecodeEntry(announced[0].Entry)
	if err != nil || entry.Owner != "first" || entry.NextOffset() != w.end() {
		t.Errorf("announced %+v, %v", entry, err)
	}
}

func TestEveryAnnouncedEntryIsTheOneInTheLog(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batches("a", 1, 3)...))
	o.step(release(batches("b", 1, 3)...))
	o.settle()
	announced := sentOf[messages.Committed](o)
	if len(announced) != 2 {
		t.Fatalf("%d announcements, want 2", len(announced))
	}
	for _, m := range announced {
		checkAnnounced(t, w, m)
	}
}

// checkAnnounced checks that an announced entry stands in the log.
func checkAnnounced(t failer, w *world, m messages.Committed) {
	t.Helper()
	logged := messages.EncodeEntry(w.log[m.Sequence-1].Entry)
	if string(logged) != string(m.Entry) {
		t.Fatalf("entry %d in the log is not the one that was announced", m.Sequence)
	}
}

func TestLateLogReadIsIgnored(t *testing.T) {
	_, o := newLeader(t)
	o.step(core.LogRead{AtEnd: true})
	if o.append != nil || o.read != nil {
		t.Error("a stray answer sets something under way")
	}
	o.commit(batch("a", 1))
	o.expect(ok("a", 1, 0))
}

func TestALogMayBeginAtAnySequenceAndOffset(t *testing.T) {
	w := newWorld(t)
	w.log, w.streamEnd = nil, 1000
	w.put(messages.Entry{TopicID: orders.TopicID, Created: true, BaseOffset: 500})
	o := w.leader("first")
	o.commit(batch("a", 1))
	o.expect(ok("a", 1, 500))
}
