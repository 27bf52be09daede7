package core_test

import (
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

// A log that continues another one, and has no snapshot, begins with an entry whose sequence is far
// above the history that it names.
func TestContinuedLogKeepsItsHistory(t *testing.T) {
	w := newWorld(t)
	h := messages.History{Manifest: "m1", Start: 3, End: messages.Position{Sequence: 10, Offset: 100}}
	created := messages.Entry{TopicID: orders.TopicID, Created: true, BaseOffset: 100, History: h}
	w.streamEnd, w.log = 1000, []core.LoggedEntry{{Sequence: 1000, Entry: created}}
	w.settings.ArchiveBytes, w.settings.ArchiveAge = 1000, 1<<40
	o := w.leader("first")
	if w.history() != h {
		t.Fatalf("the term record has the history %+v", w.history())
	}
	o.commit(sized(batch("a", 1), 1000))
	j := o.job()
	if j.Base != h || j.To.Sequence != w.streamEnd {
		t.Fatalf("the job is %+v", j)
	}
	o.step(done(j, "m2"))
	o.settle()
	if got := w.history(); got.Manifest != "m2" || got.End != j.To {
		t.Errorf("the history is %+v", got)
	}
}
