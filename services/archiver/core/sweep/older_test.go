package sweep

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// olderRig is a cluster of three partitions, and of one of a topic that no sweep has read. NATS names a sweep
// that has read of the three what they are.
func olderRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	for _, p := range []struct {
		topic  uint64
		number int32
	}{{1, 1}, {2, 0}, {3, 0}} {
		p := partition(p.topic, p.number)
		r.logs, r.registry = append(r.logs, Log{p, 50, 7, ""}), append(r.registry, p)
	}
	named := Record{Key: "r/5", Number: 5}
	for _, l := range r.logs[:3] {
		named.Logs = append(named.Logs, recordOf(l))
	}
	r.records, r.known, r.named = []Record{named}, 5, "r/5"
	return r
}

// unnamed adds a record that NATS does not name.
func (r *rig) unnamed(number uint64, more ...LogRecord) {
	r.records = append(r.records, Record{Key: "r/unnamed", Number: number, Logs: append(slices.Clone(r.records[0].Logs), more...)})
}

func TestTheLogsThatAreOlderAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(r *rig)
		behind   string
		restored string
		reason   string // of the first log
	}{
		"one log": {func(r *rig) { r.logs[1].Sequence-- }, "t1/1", "", "sweep 5 has read of partition t1/1: entry 50, and the log ends with entry 49"},
		"two logs": {
			func(r *rig) { r.logs[1].Sequence--; r.logs[2].Watermark-- }, "t1/1 t2/0", "",
			"sweep 5 has read of partition t1/1: entry 50, and the log ends with entry 49",
		},
		"a log that was removed by hand": {func(r *rig) { r.remove(2) }, "", "", ""},
		"a log that was continued after NATS was copied": {func(r *rig) {
			r.records[0].Logs[1].Incarnation = 1
		}, "t1/1", "", "there is no such log"},
		"a log that has less than a record that NATS does not name": {func(r *rig) {
			r.unnamed(6)
			r.logs[1].Sequence--
			r.records[0].Logs[1].Sequence--
		}, "t1/1 t1/0 t2/0", "sweep 6 has read of partition t1/1", "sweep 6 has read of partition t1/1"},
		"a topic that NATS does not know": {func(r *rig) {
			r.unnamed(6, LogRecord{Topic: "t9", TopicID: 9, Sequence: 1})
		}, "t1/0 t1/1 t2/0", "sweep 6 has read the log of partition t9/0", "NATS as a whole was restored"},
		"sweeps that NATS does not know": {func(r *rig) { r.unnamed(8) }, "t1/0 t1/1 t2/0", "sweep 8 has stored a record", "NATS as a whole was restored"},
		"a log that a repair has continued since": {func(r *rig) {
			r.unnamed(8)
			r.registry[1].Incarnation++
			r.logs[1].Partition.Incarnation++
		}, "t1/0 t2/0", "sweep 8 has stored a record", "NATS as a whole was restored"},
	} {
		for _, compare := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, comparison: %t", name, compare), func(t *testing.T) {
				r := olderRig(t)
				c.change(r)
				got := r.run(Start{Compare: compare})
				var behind []string
				for _, b := range got.Behind {
					behind = append(behind, b.Partition.String())
				}
				if got.Alarm != LogOlder || strings.Join(behind, " ") != c.behind || !strings.Contains(got.Restored, c.restored) || (got.Restored != "") != (c.restored != "") {
					t.Fatalf("the outcome is %+v, and behind are %q", got, behind)
				}
				if len(got.Behind) > 0 && !strings.Contains(got.Behind[0].Reason, c.reason) {
					t.Errorf("the reason is %q", got.Behind[0].Reason)
				}
				if r.stored != nil || len(r.gone) > 0 {
					t.Errorf("stored is %+v, and deleted are %q", r.stored, r.gone)
				}
			})
		}
	}
}

// remove removes a log.
func (r *rig) remove(n int) {
	r.logs, r.registry = slices.Delete(r.logs, n, n+1), slices.Delete(r.registry, n, n+1)
}

func TestAStoreThatIsOlderConcernsNoLog(t *testing.T) {
	r := olderRig(t)
	r.records[0].Key = "r/4"
	for _, compare := range []bool{false, true} {
		if got := r.run(Start{Compare: compare}); got.Alarm != StoreOlder || len(got.Behind) > 0 {
			t.Errorf("the outcome is %+v", got)
		}
	}
}

// A new leader of a stream may not have all entries yet.
func TestALogThatIsShortForAMomentRaisesNoAlarm(t *testing.T) {
	for _, compare := range []bool{false, true} {
		r := olderRig(t)
		r.core.settings.Confirm = 15 * time.Second
		r.logs[1].Sequence--
		began := r.now
		r.before = func(e Effect) {
			if again, ok := e.(ReadLogs); ok && again.Pause == r.core.settings.Confirm {
				r.logs[1].Sequence++
			}
		}
		if got := r.run(Start{Compare: compare}); got.Alarm != NoAlarm || !strings.Contains(got.Reason, "for a moment") || r.stored != nil || len(r.gone) > 0 {
			t.Errorf("the outcome is %+v, stored is %+v", got, r.stored)
		}
		if took := r.now.Sub(began); took < 15*time.Second {
			t.Errorf("the log was read again after %v", took)
		}
		r.before = nil
		if got := r.run(Start{Compare: compare}); got.Reason != "" {
			t.Errorf("after that, the outcome is %+v", got)
		}
		r.logs[1].Sequence--
		if got := r.run(Start{Compare: compare}); got.Alarm != LogOlder || len(got.Behind) != 1 {
			t.Errorf("the log stays short, and the outcome is %+v", got)
		}
	}
}

// The stream before a repair stays until the topic is deleted.
func TestALogThatWasContinuedIsNotComparedAgain(t *testing.T) {
	for _, compare := range []bool{false, true} {
		r := olderRig(t)
		old := r.logs[1]
		old.Sequence--
		r.registry[1].Incarnation++
		r.logs[1].Partition.Incarnation++
		r.logs = append(r.logs, old)
		r.logs[2].Sequence--
		if got := r.run(Start{Compare: compare}); got.Alarm != LogOlder || len(got.Behind) != 1 || got.Behind[0].Partition.Topic != "t2" {
			t.Errorf("the outcome is %+v", got)
		}
	}
}

func TestATopicThatIsDeletedBeforeTheConfirmationRaisesNoAlarm(t *testing.T) {
	r := olderRig(t)
	r.logs[2].Sequence--
	r.before = func(e Effect) {
		if again, ok := e.(ReadLogs); ok && again.Logs == nil && r.deleted == nil {
			r.deleted = []Tombstone{{Topic: 2, Passing: true}} // its stream is still there
			r.registry = slices.Delete(r.registry, 2, 3)
		}
	}
	if got := r.run(Start{Compare: true}); got.Alarm != NoAlarm {
		t.Errorf("the outcome is %+v", got)
	}
}

func TestAComparisonChangesNothing(t *testing.T) {
	r := olderRig(t)
	if got := r.run(Start{Compare: true}); got.Reason != "" || r.order() != "ReadRecords ListLogs ReadLogs End" || r.generation != 8 {
		t.Errorf("the steps are %s, the generation is %d, and the outcome is %+v", r.order(), r.generation, got)
	}
	r.unreadable = "t1/1"
	r.logs[1].Sequence--
	if got := r.run(Start{Compare: true}); got.Reason != "" {
		t.Errorf("with a log that cannot be read: %+v", got)
	}
	r.logs[2].Sequence--
	if got := r.run(Start{Compare: true}); got.Alarm != LogOlder || len(got.Behind) != 1 || got.Behind[0].Partition.Topic != "t2" {
		t.Errorf("beside a log that cannot be read: %+v", got)
	}
	r = newRig(t)
	r.logs, r.registry = nil, nil
	if got := r.run(Start{Compare: true}); got.Reason != "" {
		t.Errorf("without logs and records: %+v", got)
	}
}
