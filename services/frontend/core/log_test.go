package core

import (
	"slices"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func partition(n int) protocol.Partition {
	p := testPartition
	p.Number = int32(n)
	return p
}

// newLog returns a log with the partitions 0 to 2, whose epoch is announced.
func newLog(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.step(Added{Partition: partition(1)}, Added{Partition: partition(2)})
	fx := w.step(announced(1), announced(2))
	if !slices.Equal(fx.Ready, []protocol.Partition{partition(1), partition(2)}) {
		t.Fatalf("ready are %v", fx.Ready)
	}
	return w
}

func announced(n int) messages.Announced {
	return messages.Announced{Partition: partition(n), Epoch: testEpoch}
}

func fenced(n int, epoch uint64) messages.Fenced {
	return messages.Fenced{Partition: partition(n), Epoch: epoch}
}

// to returns a request for another partition.
func to(n int, p Produce) Produce {
	p.Partition = partition(n)
	return p
}

// turned returns the numbers of the partitions that took part, in order.
func turned(fx Effects) (numbers []int32) {
	for _, t := range fx.Turned {
		numbers = append(numbers, t.Partition.Number)
	}
	return numbers
}

func wantTurned(t *testing.T, fx Effects, want ...int32) {
	t.Helper()
	if got := turned(fx); !slices.Equal(got, want) {
		t.Fatalf("partitions %v took part, want %v", got, want)
	}
}

func TestOnlyPartitionsWithWorkTakePart(t *testing.T) {
	w := newLog(t)
	w.now = w.now.Add(testTimes.Heartbeat)
	wantTurned(t, w.step())
	fx := w.step(to(2, produce("a", "a1")), to(1, produce("a", "b1")), to(2, produce("a", "a2")))
	wantTurned(t, fx, 2, 1)
	if len(fx.Send) != 2 || fx.Send[0].Message.Of() != partition(2) || len(fx.Send[0].Message.(messages.Stage).Batches) != 2 {
		t.Fatalf("sent %+v, want a message of each", fx.Send)
	}
	w.now = w.now.Add(testTimes.Heartbeat)
	wantTurned(t, w.step(produce("a", "c1")), 0, 2, 1)
	entry := commit("a", 0, 1, 2)
	entry.Partition = partition(2)
	wantTurned(t, w.step(entry), 2)
	w.wantAnswers("a1=0", "a2=1")
	w.now = w.now.Add(testTimes.Heartbeat)
	wantTurned(t, w.step(), 2, 1, 0) // says that the lane of partition 2 is empty
	w.now = w.now.Add(testTimes.Heartbeat)
	wantTurned(t, w.step(), 1, 0)
}

func TestReadOnlyPartitionTakesPartUntilItsDamageEnds(t *testing.T) {
	w := newLog(t)
	w.step(messages.ReadOnly{Partition: partition(1), Damage: "a hole"})
	if got := w.log.Stats(partition(1)).ReadOnly.Damage; got != "a hole" {
		t.Fatalf("damage %q", got)
	}
	w.pass(readOnlyTime)
	if got := w.log.Stats(partition(1)).ReadOnly.Damage; got != "" {
		t.Errorf("damage %q long after the last report", got)
	}
	w.now = w.now.Add(testTimes.Heartbeat)
	wantTurned(t, w.step())
}

func TestPartitionsWithoutAnEpochWaitForOne(t *testing.T) {
	w := &world{t: t, log: NewLog(0, testTimes), now: start}
	if fx := w.step(Added{Partition: partition(2)}, Added{Partition: partition(1)}); len(fx.Send) != 0 || fx.TakeEpoch != 0 {
		t.Fatalf("effects %+v without an epoch", fx)
	}
	w.pass(2 * testTimes.Heartbeat)
	fx := w.step(EpochTaken{testEpoch}, Added{Partition: partition(3)})
	var got []messages.Message
	for _, e := range fx.Send {
		got = append(got, e.Message)
	}
	var want []messages.Message
	for _, n := range []int{1, 2, 3} {
		want = append(want, messages.Announce{Partition: partition(n), Epoch: testEpoch})
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
}

func TestFencedPartitionLeavesTheOthersAlone(t *testing.T) {
	w := newLog(t)
	w.step(to(1, produce("a", "a1")), to(2, produce("a", "b1")))
	if fx := w.step(fenced(1, testEpoch+1)); fx.TakeEpoch != testEpoch+1 {
		t.Fatalf("takes an epoch above %d", fx.TakeEpoch)
	}
	if fx := w.step(fenced(0, testEpoch+1), to(2, produce("a", "b2"))); fx.TakeEpoch != 0 || len(fx.Send) != 1 {
		t.Fatalf("effects %+v, want that a batch is staged and no other epoch is taken", fx)
	}
	if fx := w.step(fenced(2, testEpoch+5)); fx.TakeEpoch != testEpoch+5 {
		t.Fatalf("takes an epoch above %d, want above the higher one", fx.TakeEpoch)
	}
	w.step(EpochTaken{testEpoch + 2}) // not enough for partition 2
	w.wantAnswers("a1=OUTCOME_UNKNOWN")
	w.step(EpochTaken{testEpoch + 6})
	w.wantAnswers("a1=OUTCOME_UNKNOWN", "b1=OUTCOME_UNKNOWN", "b2=OUTCOME_UNKNOWN")
}

func TestEndRejectsTheRequestsOfItsTurn(t *testing.T) {
	w := newLog(t)
	w.step(to(1, produce("a", "a1")))
	w.step(to(1, produce("a", "a2")), to(2, produce("a", "b1")), Ending{Partition: partition(1), Reason: Deleted})
	w.wantAnswers("a1=OUTCOME_UNKNOWN", "a2=UNKNOWN_TOPIC")
	w.step(to(1, produce("a", "a3")), Removed{partition(1)})
	w.wantAnswers("a1=OUTCOME_UNKNOWN", "a2=UNKNOWN_TOPIC", "a3=UNKNOWN_TOPIC")
	w.step(to(1, produce("a", "a4")), announced(1), Codec{Partition: partition(1)}, Ending{Partition: partition(1)}, Removed{partition(1)})
	w.wantAnswers("a1=OUTCOME_UNKNOWN", "a2=UNKNOWN_TOPIC", "a3=UNKNOWN_TOPIC", "a4=NOT_OWNER")
	if stats := w.log.Stats(partition(1)); stats != (Stats{}) {
		t.Errorf("stats %+v of a partition that was removed", stats)
	}
}

func TestPartitionsLearnOfStagersWhenTheyTakePart(t *testing.T) {
	w := newLog(t)
	w.step(Stagers{Live: []string{"s1", "s2"}})
	wantTurned(t, w.step())
	w.step(to(1, produce("a", "a1")))
	w.pass(testTimes.StageTimeout)
	lost := missing("a", 1)
	lost.Partition = partition(1)
	fx := w.step(lost)
	if len(fx.Send) != 1 || fx.Send[0].Subject != messages.StagerSubject("s1") {
		t.Errorf("sent %+v, want that the batch is staged by s1", fx.Send)
	}
}
