package producers_test

import (
	"math"
	"testing"

	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/producers"
)

const (
	outOfOrder = protocol.CodeOutOfOrderSequence
	final      = protocol.CodeOutOfOrderFinal
	unknown    = protocol.CodeUnknownProducer
	fenced     = protocol.CodeInvalidEpoch
)

// sixOf has six batches of producer 1 committed, at the offsets 0 to 5.
func sixOf(t *testing.T) *rig {
	r := newRig(t, 10)
	for first := range int32(6) {
		r.committed(of(1, first))
	}
	return r
}

func TestRetryOfLastFiveBatchesIsDuplicate(t *testing.T) {
	r := sixOf(t)
	for first := int32(1); first <= 5; first++ {
		r.duplicate(of(1, first), int64(first))
	}
}

func TestRetryOfSixthLastBatchIsOutOfOrder(t *testing.T) {
	sixOf(t).refused(of(1, 0), final)
}

func TestRetryWithOtherRecordCountIsOutOfOrder(t *testing.T) {
	sixOf(t).refused(of(1, 5).withRecords(2), final)
}

func TestGapIsOutOfOrder(t *testing.T) {
	r := sixOf(t)
	r.refused(of(1, 7), final)
	r.accepted(of(1, 6))
}

// What comes before it may be on its way, unless the producer says that nothing does.
func TestOutOfOrderIsFinalAtFirstUnacked(t *testing.T) {
	r := sixOf(t) // of the sequences 0 to 5
	for name, c := range map[string]struct {
		batch batch
		want  protocol.Code
	}{
		"a gap behind another batch":                   {of(1, 8).after(7), outOfOrder},
		"a gap that the producer is silent about":      {of(1, 8).after(protocol.NotSaid), outOfOrder},
		"a gap that nothing comes to fill":             {of(1, 8).after(8), final},
		"an old batch of which a late attempt arrives": {of(1, 0).after(0), final},
		"a later batch of a new epoch":                 {of(1, 1).after(0).inEpoch(1), outOfOrder},
		"a new epoch that begins anywhere":             {of(1, 6).after(6).inEpoch(1), final},
		"a later batch of an unknown producer":         {of(2, 6).after(0), outOfOrder},
	} {
		if j := r.send(c.batch); j.Result != producers.Refuse || j.Refusal.Code != c.want || j.Refusal.Retryable() != (c.want == outOfOrder) {
			t.Errorf("%s gets %+v, want %s", name, j, c.want.Kind().Name)
		}
	}
}

func TestGapAfterBatchInFlightIsOutOfOrder(t *testing.T) {
	r := newRig(t, 10)
	r.accepted(of(1, 0))
	r.refused(of(1, 2), final)
	r.accepted(of(1, 1).after(0))
}

func TestSequenceWrapsBetweenBatches(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, math.MaxInt32))
	r.committed(of(1, 0))
	r.duplicate(of(1, math.MaxInt32), 0)
	r.duplicate(of(1, 0), 1)
}

// Kafka takes a batch that wraps inside, Redpanda refuses it. Laneway takes it: a
// producer does not choose where its batches end by their sequences.
func TestSequenceWrapsInsideABatch(t *testing.T) {
	r := newRig(t, 10)
	wrapping := of(1, math.MaxInt32-1).withRecords(4)
	r.committed(wrapping)
	r.duplicate(wrapping, 0)
	r.refused(of(1, 1), final)
	r.committed(of(1, 2))
}

func TestSequenceOneAfterLargestIsOutOfOrder(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, math.MaxInt32))
	r.refused(of(1, 1), final)
}

// Redpanda takes a lower epoch outside of transactions. Laneway fences it, as Kafka
// does: an instance that was replaced must not write.
func TestLowerEpochIsFenced(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, 0).inEpoch(3))
	r.refused(of(1, 1).inEpoch(2), fenced)
	r.refused(of(1, 0).inEpoch(2), fenced)
}

func TestHigherEpochInFlightFencesALowerOne(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, 0))
	r.accepted(of(1, 0).inEpoch(1))
	r.refused(of(1, 1), fenced)
	r.fail()
	r.accepted(of(1, 1))
}

func TestHigherEpochBeginsAtSequenceZero(t *testing.T) {
	r := sixOf(t)
	r.refused(of(1, 6).inEpoch(1), final)
	r.committed(of(1, 0).inEpoch(1))
	r.refused(of(1, 5).inEpoch(1), final) // of the history that ended
	r.duplicate(of(1, 0).inEpoch(1), 6)
	r.committed(of(1, 1).inEpoch(1))
}

// Redpanda clears the state when a batch of a higher epoch comes, also if it is
// refused. Laneway keeps it, as Kafka does: what is refused changes nothing.
func TestRefusedBatchOfHigherEpochChangesNothing(t *testing.T) {
	r := sixOf(t)
	r.refused(of(1, 3).inEpoch(1), final)
	r.duplicate(of(1, 5), 5)
	r.accepted(of(1, 6))
}

// Kafka and Redpanda take the first batch of a producer that they do not know at any
// sequence (KIP-360), also the second one before the first (redpanda#30937). Laneway
// takes it only where the producer itself says that it begins.
func TestUnknownProducerMustStartAtFirstUnacked(t *testing.T) {
	r := newRig(t, 10)
	r.refused(of(1, 5).after(4), outOfOrder)
	r.refused(of(1, 0).after(4), outOfOrder)
	r.accepted(of(1, 4).after(4), of(1, 5).after(4))
}

// Without the header nothing tells the first batch from a later one (KAFKA-14920).
func TestUnknownProducerMustStartAtZero(t *testing.T) {
	r := newRig(t, 10)
	r.refused(of(1, 1).after(protocol.NotSaid), unknown)
	r.accepted(of(1, 0).after(protocol.NotSaid), of(1, 1).after(protocol.NotSaid))
}

func TestFirstUnackedOfKnownProducerIsIgnored(t *testing.T) {
	r := sixOf(t)
	r.duplicate(of(1, 4).after(protocol.NotSaid), 4)
	r.committed(of(1, 6).after(2))
	r.committed(of(1, 7).after(protocol.NotSaid))
}

// A window that counts batches is stuck here with Kafka and Redpanda: five are acked
// behind the lost one. Laneway's clients count from the first unacked one.
func TestOldestRetryInWindowIsDuplicate(t *testing.T) {
	const window = 5 // batches from the first unacked one on
	r := newRig(t, 10)
	for first := range int32(window) {
		r.committed(of(1, first).after(0))
	}
	r.duplicate(of(1, 0).after(0), 0)
}

func TestProducersAreIndependent(t *testing.T) {
	r := sixOf(t)
	r.refused(of(2, 6).after(0), outOfOrder)
	r.committed(of(2, 0))
	r.refused(of(1, 1).inEpoch(0).withRecords(3), final)
	r.accepted(of(1, 6), of(2, 1))
}

// A batch in an epoch that no init gave would begin the history anew, and the next
// init would be told a wrong place to continue at.
func TestNamedProducerNeedsEpochFromFence(t *testing.T) {
	r := newRig(t, 10)
	r.fence(1, 2, producers.FenceAccepted)
	r.refused(of(1, 0).inEpoch(3), protocol.CodeEpochNotGiven) // also while the fence is in flight
	r.commitAll()
	r.committed(of(1, 0).inEpoch(2), of(1, 1).inEpoch(2))
	r.refused(of(1, 0).inEpoch(3), protocol.CodeEpochNotGiven)
	r.refused(of(1, 0).inEpoch(protocol.MaxProducerEpoch), protocol.CodeEpochNotGiven)
	r.refused(of(1, 0).inEpoch(1), fenced)
	r.committed(of(1, 2).inEpoch(2))
	r.fence(1, 3, producers.FenceAccepted)
	r.commitAll()
	r.committed(of(1, 3).inEpoch(3))
}
