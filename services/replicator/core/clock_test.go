package core_test

import (
	"testing"
	"time"
)

// last returns the newest entry.
func (w *world) last() (sequence uint64, at time.Time, risingFrom uint64) {
	e := w.log[len(w.log)-1]
	return e.Sequence, e.Entry.At(), e.Entry.RisingFrom
}

// expectLast checks the time of the newest entry.
func (w *world) expectLast(at time.Time, risingFrom uint64) {
	w.t.Helper()
	if _, got, from := w.last(); !got.Equal(at) || from != risingFrom {
		w.t.Fatalf("the newest entry is of %s and its times rise from %d, want %s and %d", got, from, at, risingFrom)
	}
}

func TestLogTimesRiseWhenClockIsSetBack(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1))
	before := w.now
	w.pass(-time.Minute)
	o.commit(batch("a", 2))
	w.expectLast(before, 0)
	w.pass(2 * time.Minute)
	o.commit(batch("a", 3))
	w.expectLast(w.now, 0)
	if n := o.core.Stats().ClockFalls; n != 0 {
		t.Errorf("%d falls are counted", n)
	}
}

func TestClockThatWasFarAheadMarksNoLaterEntry(t *testing.T) {
	for name, change := range map[string]func(*world, *owner) *owner{
		"same owner":                   func(_ *world, o *owner) *owner { return o },
		"same owner, a while later":    func(_ *world, o *owner) *owner { o.commit(batch("b", 1)); return o },
		"next owner, from the log":     func(w *world, _ *owner) *owner { return w.leader("second") },
		"next owner, from a snapshot":  func(w *world, _ *owner) *owner { return w.recovered("second", 1) },
		"the next but one, from a log": func(w *world, _ *owner) *owner { w.leader("second"); return w.leader("third") },
	} {
		t.Run(name, func(t *testing.T) {
			w, o := newSaver(t)
			o.commit(batch("a", 1))
			const jump = 10 * 24 * time.Hour
			w.pass(jump)
			o.commit(batch("a", 2))
			w.expectLast(w.now, 0)
			ahead, _, _ := w.last()

			w.pass(-jump + time.Second)
			o = change(w, o)
			o.commit(batch("a", 3))
			w.expectLast(w.now, ahead+1)
			w.pass(time.Second)
			o.commit(batch("a", 4))
			w.expectLast(w.now, ahead+1)

			o = w.leader("last")
			w.pass(time.Second)
			o.commit(batch("a", 5))
			w.expectLast(w.now, ahead+1)
		})
	}
}

func TestFallOfTheClockIsCounted(t *testing.T) {
	w, o := newLeader(t)
	o.commit(batch("a", 1))
	w.pass(-time.Hour)
	o.commit(batch("a", 2))
	o.commit(batch("a", 3))
	if s := o.core.Stats(); s.ClockFalls != 1 || s.ClockFell != time.Hour {
		t.Errorf("%d falls are counted, the last of %s", s.ClockFalls, s.ClockFell)
	}
}
