package core_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core"
)

func TestFullTailIsReportedEveryHeartbeat(t *testing.T) {
	for name, limit := range map[string]func(*core.Settings){
		"bytes":   func(s *core.Settings) { s.TailBytes = 1000 },
		"batches": func(s *core.Settings) { s.TailBatches = 40 },
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newArchiver(t)
			w.settings.ArchiveBytes = 1 << 40
			limit(&w.settings)
			o := w.start("second")
			o.settle()
			for n := uint64(1); o.core.Stats().Unarchived < 900 && n < 40; n++ {
				o.commit(sized(batch("a", n), 1))
			}
			sent := o.take()
			if n := count[messages.Congested](sent); n != 0 || o.core.Stats().Congested {
				t.Fatalf("below the limit %d reports are sent", n)
			}
			j := last[messages.Archive](t, sent)
			o.commit(batches("b", 1, 40)...)
			reports := sentOf[messages.Congested](o)
			if len(reports) != 1 || !strings.Contains(reports[0].Reason, name) || !o.core.Stats().Congested {
				t.Fatalf("at the limit: %+v", reports)
			}
			o.step()
			if n := len(sentOf[messages.Congested](o)); n != 0 {
				t.Errorf("%d reports are sent within the heartbeat", n)
			}
			w.pass(w.settings.Heartbeat)
			o.commit(batch("b", 41)) // what has a ticket is committed
			sent = o.take()
			if n := count[messages.Congested](sent); n != 1 || len(answers(t, sent)) != 1 {
				t.Errorf("after a heartbeat: %+v", sent)
			}
			for o.core.Stats().Congested { // until enough is archived
				o.step(done(j, fmt.Sprint("m", j.To.Sequence)))
				o.settle()
				if sent = o.take(); o.core.Stats().Congested {
					j = last[messages.Archive](t, sent)
				}
			}
			w.pass(w.settings.Heartbeat)
			o.step()
			if n := len(sentOf[messages.Congested](o)); n != 0 {
				t.Errorf("%d reports are sent after it", n)
			}
		})
	}
}

// An owner that was replaced and has frontends reject all requests has nothing to append, which
// would show it that it was replaced.
func TestOwnerOfAFullTailNoticesThatItWasReplaced(t *testing.T) {
	w, _ := newMarked(t)
	w.settings.ArchiveBytes, w.settings.ArchiveAge, w.settings.TailBatches = 1<<40, time.Hour, 4
	o := w.leader("second")
	o.commit(batches("b", 1, 4)...)
	if !o.core.Stats().Congested {
		t.Fatal("the tail is not full")
	}
	w.pass(time.Second)
	o.step() // it writes where the log ends
	next := w.leader("third")
	w.pass(6 * time.Second)
	next.step()
	o.step()
	o.settle()
	if o.fenced == 0 {
		t.Error("it continues beside the younger one")
	}
	if !next.core.Stats().Leading {
		t.Error("the younger one leads no more")
	}
}

func TestTailHasNoLimitWithoutArchiving(t *testing.T) {
	w := newWorld(t)
	w.settings.TailBytes = 1
	o := w.leader("first")
	o.commit(batches("a", 1, 40)...)
	w.pass(w.settings.Heartbeat)
	o.step()
	if n := len(sentOf[messages.Congested](o)); n != 0 || o.core.Stats().Congested {
		t.Errorf("%d reports are sent", n)
	}
}

// count returns how many messages have a type.
func count[M messages.Message](sent []messages.Message) (n int) {
	for _, m := range sent {
		if _, is := m.(M); is {
			n++
		}
	}
	return n
}

// last returns the last message of a type.
func last[M messages.Message](t *testing.T, sent []messages.Message) (found M) {
	t.Helper()
	some := false
	for _, m := range sent {
		if m, is := m.(M); is {
			found, some = m, true
		}
	}
	if !some {
		t.Fatalf("no %T among %+v", found, sent)
	}
	return found
}
