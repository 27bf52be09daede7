package repair

import (
	"errors"
	"strings"
	"testing"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
)

// sealed reports whether the stream of a partition takes no records.
func (w *world) sealed(n int) bool {
	w.t.Helper()
	bounds, err := partitionlog.New(w.conn, w.js, w.topic.Partition(n)).Bounds(w.ctx)
	if errors.Is(err, partitionlog.ErrNoLog) {
		return false
	}
	w.must(err)
	return bounds.Sealed
}

// useTwice appends an entry at the offsets of the one before it.
func (w *world) useTwice() {
	w.next[0] -= 2
	w.commit(0, w.stage(w.batch(0, "a", 9))...)
}

// TestNoRefusalSealsTheLog has each reason for which a loss is not accepted that has no test of its own.
// A sealed log could not take records again.
func TestNoRefusalSealsTheLog(t *testing.T) {
	accept := func(w *world, _ *accepting) error {
		_, err := w.accept(w.ctx)
		return err
	}
	for name, c := range map[string]struct {
		before func(w *world)
		accept func(w *world, a *accepting) error
		want   string
	}{
		"offsets were used twice": {(*world).useTwice, accept, "begins at offset 6 although the one before it ends at 8"},
		"the snapshot contradicts the log": {func(w *world) {
			w.saveAt(0, 3, messages.Entry{BaseOffset: 7})
			w.lose(0, 3)
		}, accept, "begins at offset 4, and the newest snapshot, which covers less of the log, ends at 7"},
		"attempts have left too many streams": {func(*world) {}, func(w *world, a *accepting) error {
			a.later = make([]topics.Incarnation, maxAttempts)
			return a.prepare(w.ctx)
		}, "earlier attempts"},
		"the topic has changed since the inspection": {func(*world) {}, func(w *world, a *accepting) error {
			topic := w.topic
			topic.ID++
			_, err := a.Accept(w.ctx, topic, 0)
			return err
		}, "has changed since it was inspected"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := damagedWorld(t)
			c.before(w)
			a := &accepting{planning: planning{Inspector: w.inspector(), old: w.topic.Partition(0)}, replicas: 1}
			w.must(a.open(w.ctx))
			if err := c.accept(w, a); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v", err)
			}
			if w.sealed(0) {
				t.Error("the log is sealed")
			}
			if report := w.inspect(0).Report.Partitions[0]; strings.HasPrefix(c.want, "begins") && !strings.Contains(report.PlanError, c.want) {
				t.Errorf("the report says %q", report.PlanError)
			}
		})
	}
}

func TestARefusalCanBeRepeatedAndLeavesTheLogAsItIs(t *testing.T) {
	w, _ := damagedWorld(t)
	w.useTwice()
	for range 2 {
		got, err := w.accept(w.ctx)
		if _, is := errors.AsType[*RefusedError](err); !is {
			t.Errorf("accepted is %+v, %v", got, err)
		}
	}
	w.append(0, messages.Entry{Epoch: 5})
}
