package producers_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/producers"
)

// Kafka's snapshots keep the last batch only. Laneway's keep five, as Redpanda's do:
// the retries of the others would be out of order forever.
func TestSnapshotKeepsLastFiveBatches(t *testing.T) {
	r := sixOf(t)
	r.restore(10)
	for first := int32(1); first <= 5; first++ {
		r.duplicate(of(1, first), int64(first))
	}
	r.refused(of(1, 0), final)
	r.accepted(of(1, 6))
}

func TestSnapshotKeepsEpochsAndFences(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, 0).inEpoch(3))
	r.fence(2, 5, producers.FenceAccepted)
	r.commitAll()
	r.restore(10)
	r.refused(of(1, 1).inEpoch(2), fenced)
	r.refused(of(2, 0).inEpoch(4), fenced)
	r.fence(2, 5, producers.FenceCommitted)
	if known, _ := r.Known(2); known.Name != "feed" {
		t.Errorf("the producer's name is %q", known.Name)
	}
}

func TestSnapshotOmitsFlight(t *testing.T) {
	r := sixOf(t)
	before := r.Snapshot()
	r.accepted(of(1, 6), of(2, 0))
	r.fence(3, 1, producers.FenceAccepted)
	if diff := cmp.Diff(before, r.Snapshot()); diff != "" {
		t.Errorf("-before +with batches in flight\n%s", diff)
	}
}

func TestSnapshotKeepsIdleTimes(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, 0))
	r.pass(expiry / 2)
	r.committed(of(2, 0))
	r.restore(10)
	r.pass(expiry/2 + expiry/12)
	if _, known := r.Known(1); known {
		t.Error("a producer that was idle is remembered")
	}
	if _, known := r.Known(2); !known {
		t.Error("a producer is forgotten before its time")
	}
}

func TestLoweredLimitEvictsNoProducer(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, 0), of(2, 0), of(3, 0))
	r.restore(2)
	r.duplicate(of(1, 0), 0)
	r.duplicate(of(3, 0), 2)
	r.refused(of(4, 0), protocol.CodeTooManyProducers)
}

// fourInTheLog reads four batches of producer 1 and a fence from the log. The owner that wrote
// them may have evicted the producer before the fence. A table whose clock counts less time
// has not evicted it, and must not treat new batches as duplicates of the old ones.
func fourInTheLog(t *testing.T) *rig {
	r := newRig(t, 10)
	for first := range int32(4) {
		apply(r.Table, 1, first, int64(first))
	}
	r.ApplyFence(messages.LoggedFence{ProducerFence: messages.ProducerFence{ProducerID: 1, ProducerEpoch: 1}})
	return r
}

func TestReplayedFenceStartsHistory(t *testing.T) {
	r := fourInTheLog(t)
	r.ApplyFence(messages.LoggedFence{ProducerFence: messages.ProducerFence{ProducerID: 1, ProducerEpoch: 2}, Anew: true})
	for first := range int32(4) {
		r.committed(of(1, first).inEpoch(2))
	}
}

func TestReplayedBatchShowsEviction(t *testing.T) {
	r := fourInTheLog(t)
	r.ApplyBatch(of(1, 0).inEpoch(1).Sequence, 1, 4)
	r.duplicate(of(1, 0).inEpoch(1), 4)
	for first := int32(1); first < 4; first++ {
		r.committed(of(1, first).inEpoch(1))
	}
}

func TestReplayedFenceKeepsBatches(t *testing.T) {
	r := fourInTheLog(t)
	r.duplicate(of(1, 3).inEpoch(1), 3)
	r.accepted(of(1, 4).inEpoch(1))
}
