package core

import (
	"strings"
	"testing"

	"laneway.dev/pkg/messages"
)

func TestCongestedLogTakesNoNewRequests(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "before"))
	w.step(messages.Congested{Partition: testPartition, Reason: "9 bytes of its log are not archived"})
	staged := len(w.stages)
	w.step(produce("a", "refused"))
	w.wantAnswers("refused=OVERLOADED")
	if len(w.stages) != staged {
		t.Error("a batch that is refused was staged")
	}
	if err := w.answers[0].Error; !strings.Contains(err.Error(), "9 bytes of its log are not archived") || !err.Retryable() {
		t.Errorf("the refusal is %v", err)
	}
	w.step(commit("a", 5, 1)) // it has a ticket
	w.wantAnswers("refused=OVERLOADED", "before=5")
}

func TestCongestionEndsWithItsReports(t *testing.T) {
	w := newWorld(t)
	w.step(messages.Congested{Partition: testPartition, Reason: "full"})
	w.pass(congestedTime - testTimes.Heartbeat)
	w.step(messages.Congested{Partition: testPartition, Reason: "full"})
	w.pass(congestedTime - testTimes.Heartbeat)
	w.step(produce("a", "refused"))
	w.pass(testTimes.Heartbeat)
	w.step(produce("a", "taken"))
	w.wantAnswers("refused=OVERLOADED")
	w.step(commit("a", 5, 1))
	w.wantAnswers("refused=OVERLOADED", "taken=5")
}
