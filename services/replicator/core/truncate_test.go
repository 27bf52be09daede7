package core_test

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core"
)

// truncate asks the owner to drop what is below an offset, and returns its answer; nil if it is silent.
func (o *owner) truncate(before int64) *messages.Truncated {
	o.w.t.Helper()
	o.step(messages.Truncate{Partition: orders, Asker: 1, Request: 9, Before: before})
	all := sentOf[messages.Truncated](o)
	if len(all) == 0 {
		return nil
	}
	if a := all[0]; len(all) > 1 || a.Partition != orders || a.Asker != 1 || a.Request != 9 {
		o.w.t.Fatalf("the answers are %+v", all)
	}
	return &all[0]
}

func TestTruncationArchivesWhatItDrops(t *testing.T) {
	w, o := retaining(t, core.Retention{})
	o.commit(batch("b", 1), batch("b", 2))
	o.expectNoJob("before the truncation")
	before := w.end() - 1
	o.step(messages.Truncate{Partition: orders, Asker: 1, Request: 1, Before: before})
	j := o.job()
	if j.To.Offset < before || j.Retain != (messages.Retention{Before: before}) {
		t.Fatalf("the job is %+v", j)
	}
	if a := o.truncate(before); a != nil {
		t.Errorf("answered while the job is open: %+v", a)
	}
	o.step(dropped(j, "m2", before))
	if a := o.truncate(before); a != nil {
		t.Errorf("answered before the entry is in the log: %+v", a)
	}
	o.settle()
	o.take()
	if w.history().Start != before {
		t.Fatalf("the history is %+v", w.history())
	}
	for _, again := range []int64{before, 0} {
		if a := o.truncate(again); a == nil || a.Code != protocol.CodeOK || a.Start != before {
			t.Errorf("the answer for %d is %+v", again, a)
		}
	}
	w.pass(time.Hour)
	o.step()
	o.expectNoJob("because nothing is left to do")
}

// The target is above what the open job covers.
func TestTruncationWaitsForTheOpenJob(t *testing.T) {
	w, o := retaining(t, core.Retention{})
	o.commit(sized(batch("b", 1), 1000))
	j := o.job()
	o.commit(batch("b", 2))
	before := w.end()
	if a := o.truncate(before); a != nil {
		t.Fatalf("the answer is %+v", a)
	}
	o.step(done(j, "m2"))
	o.settle()
	j = o.job()
	if j.To.Offset != before || j.Retain.Before != before {
		t.Errorf("the next job is %+v", j)
	}
}

func TestArchivedRecordsAreTruncatedWithoutNewOnes(t *testing.T) {
	w, o := retaining(t, core.Retention{})
	o.step(messages.Truncate{Partition: orders, Asker: 1, Request: 1, Before: w.end()})
	if j := o.job(); j.To != j.Base.End || j.Retain.Before != w.end() {
		t.Errorf("the job is %+v", j)
	}
}

func TestTruncationAboveTheEndIsRefused(t *testing.T) {
	w, o := retaining(t, core.Retention{})
	if a := o.truncate(w.end() + 1); a == nil || a.Code != protocol.CodeInvalidRequest || a.Detail == "" {
		t.Errorf("the answer is %+v", a)
	}
	o.step()
	o.expectNoJob("because it was refused")
}

func TestTruncationNeedsArchiving(t *testing.T) {
	_, o := newLeader(t)
	o.commit(batch("a", 1))
	o.take()
	if a := o.truncate(1); a == nil || a.Code != protocol.CodeInvalidRequest || a.Detail == "" {
		t.Errorf("the answer is %+v", a)
	}
	if a := o.truncate(0); a == nil || a.Code != protocol.CodeOK {
		t.Errorf("the answer is %+v", a)
	}
}
