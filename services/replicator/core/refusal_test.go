package core_test

import (
	"slices"
	"testing"
	"time"

	"laneway.dev/services/replicator/core"
)

// fail lets the append of a batch fail, without an answer of JetStream.
func (o *owner) fail(number uint64) {
	o.w.t.Helper()
	o.step(release(batch("a", number)))
	o.takeAppend()
	o.step(core.AppendFailed{Reason: "no responders"})
}

func TestFailedAppendIsReadAfterPause(t *testing.T) {
	_, o := newLeader(t)
	o.fail(1)
	if o.read == nil || o.read.After != 100*time.Millisecond {
		t.Fatalf("after an append without an answer: read %+v", o.read)
	}
	o.settle()
	o.step(release(batch("a", 1)))
	o.takeAppend()
	o.step(core.AppendFailed{Moved: true})
	if o.read == nil || o.read.After != 0 {
		t.Fatalf("after the log has moved: read %+v", o.read)
	}
}

func TestRefusalThatLastsIsReportedOnce(t *testing.T) {
	w, o := newLeader(t)
	o.fail(1)
	w.pass(15*time.Second - 1)
	o.step()
	if len(o.refusing) != 0 || o.core.Stats().Refusing != "" {
		t.Fatalf("reported too early: %q", o.refusing)
	}
	w.pass(1)
	o.step()
	o.step()
	if !slices.Equal(o.refusing, []string{"no responders"}) || o.core.Stats().Refusing == "" {
		t.Fatalf("reported: %q, and %q", o.refusing, o.core.Stats().Refusing)
	}
	o.settle()
	if got := o.core.Stats().Refusing; got != "" {
		t.Errorf("after an append: %q", got)
	}
}

func TestLogOfADeletedTopicIsIgnored(t *testing.T) {
	w, o := newLeader(t)
	o.step(release(batch("a", 1)))
	o.takeAppend()
	o.step(core.AppendFailed{Deleted: true})
	for range 30 {
		if o.read == nil || o.read.After != time.Second {
			t.Fatalf("read %+v, want one in a second", o.read)
		}
		o.read = nil
		w.pass(time.Second)
		o.step(core.LogRead{Gone: true, Deleted: true})
	}
	if s := o.core.Stats(); s.Damage != "" || s.Refusing != "" {
		t.Errorf("damage %q, refusal %q", s.Damage, s.Refusing)
	}
}

func TestLogThatIsBeingCreatedIsReadAgainSoon(t *testing.T) {
	w := newWorld(t)
	entries := w.log
	w.log, w.streamEnd = nil, 0
	o := w.start("first")
	o.read = nil
	o.step(core.LogRead{Gone: true})
	if o.read == nil || o.read.After != 5*time.Millisecond {
		t.Fatalf("read %+v, want one soon", o.read)
	}
	w.log, w.streamEnd = entries, 1
	o.settle()
	if !o.core.Stats().Leading {
		t.Error("the owner does not lead the new log")
	}
}
