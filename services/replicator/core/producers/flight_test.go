package producers_test

import (
	"testing"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/producers"
)

// Kafka waits for the batch in flight, Redpanda joins it. Laneway joins it.
func TestDuplicateOfABatchInFlightJoinsIt(t *testing.T) {
	r := newRig(t, 10)
	r.accepted(of(2, 0), of(1, 0), of(1, 1).after(0))
	first, again := r.joins(of(1, 0)), r.joins(of(1, 0))
	r.commitAll()
	if first.Offset != 1 || again.Offset != 1 {
		t.Errorf("who repeats is told %d and %d, want 1", first.Offset, again.Offset)
	}
	r.duplicate(of(1, 0), 1)
}

func TestEveryBatchInFlightIsRecognized(t *testing.T) {
	r := newRig(t, 10)
	for first := range int32(20) {
		r.accepted(of(1, first).after(0))
	}
	for first := range int32(20) {
		r.joins(of(1, first).after(0))
	}
}

// The state must not be ahead of the log: the retry would be told "duplicate", and
// the record would be lost (nisshi#742).
func TestRolledBackBatchIsAcceptedAgain(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, 0))
	r.accepted(of(1, 1), of(1, 2).after(1))
	r.fail()
	r.refused(of(1, 2).after(1), outOfOrder)
	r.committed(of(1, 1))
	r.duplicate(of(1, 1), 1)
}

func TestProducerWithoutCommitIsUnknownAfterRollBack(t *testing.T) {
	r := newRig(t, 1)
	r.accepted(of(1, 0), of(1, 1).after(0))
	r.fail()
	r.refused(of(1, 1).after(0), outOfOrder)
	r.accepted(of(2, 0)) // there is room for another one
}

func TestRolledBackEpochLeavesHistory(t *testing.T) {
	r := sixOf(t)
	r.accepted(of(1, 0).inEpoch(1), of(1, 1).inEpoch(1))
	r.fail()
	r.duplicate(of(1, 5), 5)
	r.accepted(of(1, 6))
}

func TestFlightThatNeverEndsKeepsItsOrder(t *testing.T) {
	r := newRig(t, 10)
	const most = 1000
	for first := range int32(most) {
		r.accepted(of(1, first).after(max(0, first-4)))
		if first >= 3 {
			r.commit()
		}
	}
	original := r.joins(of(1, most-2).after(most - 4))
	r.commitAll()
	if original.Offset != most-2 {
		t.Errorf("who repeats is told %d, want %d", original.Offset, most-2)
	}
	for first := int32(most - 5); first < most; first++ {
		r.duplicate(of(1, first), int64(first))
	}
}

func TestProducerContinuesInEpochOfFence(t *testing.T) {
	r := sixOf(t)
	r.fence(1, 1, producers.FenceAccepted)
	r.refused(of(1, 6), fenced)
	r.commitAll()
	r.refused(of(1, 6), fenced)
	r.duplicate(of(1, 5).inEpoch(1), 5)
	r.committed(of(1, 6).inEpoch(1))
}

func TestRolledBackFenceFencesNoProducer(t *testing.T) {
	r := sixOf(t)
	r.fence(1, 1, producers.FenceAccepted)
	r.fail()
	r.accepted(of(1, 6))
	r.fence(1, 1, producers.FenceAccepted)
}

func TestFenceOfUnknownProducerAllowsAnyStart(t *testing.T) {
	r := newRig(t, 10)
	r.fence(1, 4, producers.FenceAccepted)
	r.commitAll()
	r.refused(of(1, 1).inEpoch(4).after(0), outOfOrder)
	r.refused(of(1, 1).inEpoch(4).after(protocol.NotSaid), unknown)
	r.accepted(of(1, 7).inEpoch(4).after(7))
}

func TestFenceIsTakenOnce(t *testing.T) {
	r := newRig(t, 10)
	r.fence(1, 4, producers.FenceAccepted)
	r.fence(1, 4, producers.FenceInFlight)
	r.fence(1, 3, producers.FenceInFlight)
	r.commitAll()
	r.fence(1, 4, producers.FenceCommitted)
	r.fence(1, 3, producers.FenceRefused)
	r.fence(1, 5, producers.FenceAccepted)
}
