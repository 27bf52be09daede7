package core

import (
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// nextEpoch is what the frontend takes after it was fenced.
const nextEpoch = testEpoch + 2

func (w *world) fence() {
	w.t.Helper()
	if fx := w.step(messages.Fenced{Partition: testPartition, Epoch: testEpoch + 1}); fx.TakeEpoch != testEpoch+1 {
		w.t.Fatalf("takes an epoch above %d, want above %d", fx.TakeEpoch, testEpoch+1)
	}
}

func TestFencedFrontendIsSilent(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	fx := w.step(messages.Fenced{Partition: testPartition, Epoch: testEpoch + 1}, commit("a", 0, 1), produce("a", "a2"))
	if fx.TakeEpoch != testEpoch+1 || len(fx.Send) != 0 || len(fx.Answers) != 0 {
		t.Fatalf("effects %+v, want only that an epoch is to be taken", fx)
	}
	w.now = w.now.Add(testTimes.Deadline)
	if fx := w.step(produce("a", "a3")); fx.TakeEpoch != 0 || len(fx.Send) != 0 || len(fx.Answers) != 0 {
		t.Fatalf("effects %+v, want none while an epoch is taken", fx)
	}
}

func TestEqualEpochFencesNothing(t *testing.T) {
	w := newWorld(t)
	if fx := w.step(messages.Fenced{Partition: testPartition, Epoch: testEpoch}); fx.TakeEpoch != 0 {
		t.Fatalf("takes an epoch above %d", fx.TakeEpoch)
	}
}

func TestNewEpochAnswersTicketsOfTheOldOne(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("b", "b1"), produce("a", "a2"), produce("a", "a3"))
	w.step(commit("a", 5, 1, 3), messages.Fenced{Partition: testPartition, Epoch: testEpoch + 1}, produce("a", "a4"))
	w.wantAnswers()
	fx := w.step(EpochTaken{nextEpoch})
	w.wantAnswers("a1=5", "a4=UNAVAILABLE", "a2=OUTCOME_UNKNOWN", "a3=6", "b1=OUTCOME_UNKNOWN")
	if n := w.core.Stats(); fx.TakeEpoch != 0 || n.Outstanding != 0 || n.Issued != 4 {
		t.Errorf("takes an epoch above %d, stats %+v", fx.TakeEpoch, n)
	}
}

func TestNewEpochIsAnnouncedAndIssuesTickets(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	w.fence()
	fx := w.step(EpochTaken{nextEpoch})
	if len(fx.Send) != 1 || fx.Send[0].Message != (messages.Announce{Partition: testPartition, Epoch: nextEpoch}) {
		t.Fatalf("sent %+v, want the announcement of the new epoch", fx.Send)
	}
	if fx := w.step(messages.Announced{Partition: testPartition, Epoch: nextEpoch}); len(fx.Ready) != 1 {
		t.Fatal("not ready in the new epoch")
	}
	w.step(produce("a", "a2"))
	old := commit("a", 7, 1)
	taken := commit("a", 8, 1)
	taken.Entry.Epoch = nextEpoch
	w.step(old)
	w.step(taken)
	w.wantAnswers("a1=OUTCOME_UNKNOWN", "a2=8")
}

func TestEpochThatNothingAskedForChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"))
	w.step(EpochTaken{nextEpoch})
	w.step(commit("a", 0, 1))
	w.wantAnswers("a1=0")
}

func TestReplacedFrontendIsSilentToTheEnd(t *testing.T) {
	for name, before := range map[string]func(*world){
		"serving": func(*world) {},
		"fenced":  (*world).fence,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.step(produce("a", "a1"))
			before(w)
			fx := w.step(Ending{Partition: testPartition, Replaced: true}, produce("a", "a2"), commit("a", 0, 1))
			w.step(produce("a", "a3"), EpochTaken{nextEpoch}, Ending{Partition: testPartition})
			w.pass(2 * testTimes.Deadline)
			w.wantAnswers()
			if fx.TakeEpoch != 0 || len(fx.Send) != 0 {
				t.Errorf("effects %+v", fx)
			}
		})
	}
}

func TestEndAnswersTicketsAndWhatStillComes(t *testing.T) {
	for reason, refusal := range map[Reason]string{
		Stopping: "=NOT_OWNER", Renewed: "=NOT_OWNER", Deleted: "=UNKNOWN_TOPIC",
	} {
		w := newWorld(t)
		w.step(produce("b", "b1"), produce("a", "a1"), produce("a", "a2"))
		w.step(commit("a", 5, 3))
		w.step(Ending{Partition: testPartition, Reason: reason}, produce("a", "a3"))
		w.step(produce("b", "b2"), commit("a", 4, 2))
		w.wantAnswers("b1=OUTCOME_UNKNOWN", "a1=OUTCOME_UNKNOWN", "a2=5", "a3"+refusal, "b2"+refusal)
		if n := w.core.Stats().Outstanding; n != 0 {
			t.Errorf("%d tickets are outstanding", n)
		}
	}
}

func TestEndOfFencedFrontendAnswersWithheld(t *testing.T) {
	w := newWorld(t)
	w.step(produce("a", "a1"), produce("a", "a2"))
	w.step(commit("a", 5, 1), messages.Fenced{Partition: testPartition, Epoch: testEpoch + 1}, produce("a", "a3"))
	w.step(Ending{Partition: testPartition})
	w.wantAnswers("a1=5", "a3=UNAVAILABLE", "a2=OUTCOME_UNKNOWN")
}

func TestOnlyTheEndOfADeletedTopicIsFinal(t *testing.T) {
	for end, want := range map[Ending]protocol.Code{
		{Reason: Deleted}:                 protocol.CodeUnknownTopic,
		{Reason: Deleted, Replaced: true}: protocol.CodeUnknownTopic,
		{Replaced: true}:                  protocol.CodeNotOwner,
		{Reason: Stopping}:                protocol.CodeNotOwner,
		{Reason: Renewed}:                 protocol.CodeNotOwner,
	} {
		refusal := end.Refusal()
		if refusal.Code != want || refusal.Retryable() != (want != protocol.CodeUnknownTopic) {
			t.Errorf("%+v: %v", end, refusal)
		}
	}
}
