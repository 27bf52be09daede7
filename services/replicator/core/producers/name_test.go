package producers_test

import (
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/producers"
)

// lost is a table whose producer 1 has the name of a record that was lost: producer 2 is
// its next instance, whose fence is in flight.
func lost(t *testing.T) (*rig, messages.LoggedFence) {
	r := newRig(t, 10)
	r.fence(1, 4, producers.FenceAccepted)
	r.commitAll()
	r.committed(of(1, 0).inEpoch(4).withRecords(3), of(1, 3).inEpoch(4))
	logged := r.fence(2, 0, producers.FenceAccepted)
	return r, logged
}

// expectLast checks how far a producer came.
func (r *rig) expectLast(id int64, epoch int16, last int32) {
	r.Helper()
	if known, is := r.Known(id); !is || known.ProducerEpoch != epoch || !known.HasLast || known.Last != last {
		r.Errorf("producer %d: known is %+v (%t), want epoch %d and last sequence %d", id, known, is, epoch, last)
	}
}

func TestNameContinuesWithAnotherID(t *testing.T) {
	r, logged := lost(t)
	if logged.Continues != 1 || logged.Anew {
		t.Fatalf("the log gets %+v", logged)
	}
	r.refused(of(1, 4).inEpoch(4), fenced) // the fence is in flight
	r.commitAll()
	r.expectLast(2, 0, 3)
	r.refused(of(1, 4).inEpoch(4), fenced)
	r.duplicate(of(2, 3), 3)
	r.refused(of(2, 0), final)
	r.committed(of(2, 4))
	r.fence(1, 5, producers.FenceRefused)
	r.fence(2, 1, producers.FenceAccepted)
	r.commitAll()
	r.expectLast(2, 1, 4)
}

func TestNameContinuesAfterBatchesInFlight(t *testing.T) {
	r := newRig(t, 10)
	r.fence(1, 0, producers.FenceAccepted)
	r.accepted(of(1, 0))
	r.fence(2, 0, producers.FenceInFlight) // it is not decided who has the name
	r.commit()
	r.accepted(of(1, 1))
	r.fence(2, 0, producers.FenceAccepted)
	r.commitAll()
	r.expectLast(2, 0, 1)
}

func TestSecondFenceInFlightKeepsHistory(t *testing.T) {
	r, first := lost(t)
	second := r.fence(2, 1, producers.FenceAccepted)
	if second.Anew || second.Continues != 0 {
		t.Fatalf("the log gets %+v behind %+v", second, first)
	}
	r.commitAll()
	r.expectLast(2, 1, 3)
}

func TestNameKeepsIDIfFenceFails(t *testing.T) {
	r, _ := lost(t)
	r.fail()
	r.committed(of(1, 4).inEpoch(4))
	if logged := r.fence(2, 0, producers.FenceAccepted); logged.Continues != 1 {
		t.Fatalf("the log gets %+v", logged)
	}
	r.commitAll()
	r.expectLast(2, 0, 4)
}

func TestReplayAndSnapshotGiveNamesTheSameHistory(t *testing.T) {
	r, logged := lost(t)
	r.commitAll()
	read := newRig(t, 10)
	read.ApplyFence(messages.LoggedFence{ProducerFence: messages.ProducerFence{ProducerID: 1, ProducerEpoch: 4, Name: "feed"}, Anew: true})
	read.ApplyBatch(of(1, 0).inEpoch(4).Sequence, 3, 0)
	read.ApplyBatch(of(1, 3).inEpoch(4).Sequence, 1, 3)
	read.ApplyFence(logged)
	r.restore(10)
	for _, r := range []*rig{r, read} {
		r.expectLast(2, 0, 3)
		r.refused(of(1, 4).inEpoch(4), fenced)
		r.duplicate(of(2, 3), 3)
		if logged := r.fence(3, 0, producers.FenceAccepted); logged.Continues != 2 {
			t.Errorf("the log gets %+v", logged)
		}
	}
}

func TestEvictedNameStartsHistory(t *testing.T) {
	r := newRig(t, 10)
	first := r.fence(1, 0, producers.FenceAccepted)
	r.commitAll()
	r.committed(of(1, 0))
	r.pass(expiry + expiry/12)
	second := r.fence(2, 0, producers.FenceAccepted)
	r.commitAll()
	read := newRig(t, 10)
	read.ApplyFence(first)
	read.ApplyBatch(of(1, 0).Sequence, 1, 0) // no time has passed for who reads the log
	read.ApplyFence(second)
	for _, r := range []*rig{r, read} {
		if known, _ := r.Known(2); known.HasLast {
			t.Errorf("known is %+v", known)
		}
		if _, known := r.Known(1); known {
			t.Error("the producer before it is remembered")
		}
	}
}

func TestIfKnownAcceptsNameWithAnotherID(t *testing.T) {
	r := newRig(t, 10)
	r.fence(1, 4, producers.FenceAccepted)
	r.commitAll()
	if _, _, got := r.Fence(messages.ProducerFence{ProducerID: 2, Name: "other"}, true); got != producers.FenceUnknown {
		t.Errorf("another name: result %d, want %d", got, producers.FenceUnknown)
	}
	if _, _, got := r.Fence(messages.ProducerFence{ProducerID: 2, Name: "feed"}, true); got != producers.FenceAccepted {
		t.Errorf("the name: result %d, want %d", got, producers.FenceAccepted)
	}
}
