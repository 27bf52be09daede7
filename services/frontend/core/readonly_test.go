package core

import (
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
)

func readOnly(damage string) messages.ReadOnly {
	return messages.ReadOnly{Partition: testPartition, Damage: damage}
}

func TestReadOnlyPartitionRefusesBatchesAndEndsTickets(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "before"))
	w.step(readOnly("entry 7 is lost"))
	w.wantAnswers("before=OUTCOME_UNKNOWN")
	staged := len(w.stages)
	w.step(produce("a", "after"))
	w.wantAnswers("before=OUTCOME_UNKNOWN", "after=PARTITION_DAMAGED")
	if len(w.stages) != staged {
		t.Error("a batch that is refused was staged")
	}
	if text := w.answers[1].Error.Error(); !strings.Contains(text, "entry 7 is lost") {
		t.Errorf("the refusal says %q", text)
	}
	if got := w.core.Stats().ReadOnly; got != readOnly("entry 7 is lost") {
		t.Errorf("damage is %+v", got)
	}
}

func TestPartitionIsWritableAfterDamage(t *testing.T) {
	w := newWorld(t)
	w.step(readOnly("entry 7 is lost"))
	for range 3 {
		w.pass(3 * time.Second)
		w.step(readOnly("entry 7 is lost"))
	}
	w.step(produce("a", "refused"))
	w.pass(readOnlyTime)
	w.step(produce("a", "taken"))
	w.wantAnswers("refused=PARTITION_DAMAGED")
	w.step(commit("a", 5, 1))
	w.wantAnswers("refused=PARTITION_DAMAGED", "taken=5")
	if got := w.core.Stats().ReadOnly; got != (messages.ReadOnly{}) {
		t.Errorf("damage is %+v", got)
	}
}

// Its topic may be under creation by a process that is frozen.
func TestLogThatMayBeginYetCanBeTriedAgain(t *testing.T) {
	w := newWorld(t)
	m := readOnly("JetStream does not have its log")
	m.Unbegun = true
	w.step(m)
	w.step(produce("a", "refused"))
	w.wantAnswers("refused=UNAVAILABLE")
}
