package producers_test

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/producers"
)

// apply makes a batch of one record part of a table from the log.
func apply(table *producers.Table, id int64, first int32, offset int64) {
	table.ApplyBatch(messages.Sequence{ProducerID: id, First: first}, 1, offset)
}

func TestReplayEvictsNoMoreThanTheWriter(t *testing.T) {
	const limit = 50
	table := producers.New(expiry, limit)
	table.Advance(start)
	for id := range int64(limit) {
		apply(table, id+1, 0, id)
	}
	table.Advance(start.Add(2 * expiry)) // the clock of the table counts only a part of this
	apply(table, limit+1, 0, limit)
	if n := table.Len(); n != limit {
		t.Fatalf("%d producers are remembered, want %d", n, limit)
	}
	if _, known := table.Known(1); known {
		t.Error("the least recent producer is remembered beyond the limit")
	}
	for id := int64(2); id <= limit+1; id++ {
		if j := table.Decide(of(id, 0).Sequence, 1, 0); j.Result != producers.Duplicate || j.Offset != id-1 {
			t.Fatalf("the retry of producer %d gets %+v", id, j)
		}
	}
}

// The limit was higher when the log was written.
func TestReplayWithALowerLimitForgetsNoProducer(t *testing.T) {
	const written, limit = 50, 2
	table := producers.New(expiry, limit)
	for id := range int64(written) {
		table.Advance(start.Add(time.Duration(id) * expiry / written))
		apply(table, id+1, 0, id)
	}
	for id := int64(1); id <= written; id++ {
		if j := table.Decide(of(id, 0).Sequence, 1, 0); j.Result != producers.Duplicate || j.Offset != id-1 {
			t.Fatalf("the retry of producer %d gets %+v", id, j)
		}
	}
}

func TestReplayNeverRemembersMoreThanAnyTopicMay(t *testing.T) {
	table := producers.New(expiry, 1)
	table.Advance(start)
	for id := range int64(protocol.MaxProducersLimit + 3) {
		apply(table, id+1, 0, id)
	}
	if n := table.Len(); n != protocol.MaxProducersLimit {
		t.Errorf("%d producers are remembered, want %d", n, protocol.MaxProducersLimit)
	}
}

// An owner reads its own log again after an append has failed. What it has accepted itself is
// as recent as what it has read.
func TestReplayForgetsNoProducerThatWasJustActive(t *testing.T) {
	r := newRig(t, 3)
	r.committed(of(1, 0), of(2, 0), of(3, 0))
	r.SetLimits(expiry, 2)
	apply(r.Table, 4, 0, 3)
	for id := int64(1); id <= 4; id++ {
		r.duplicate(of(id, 0), id-1)
	}
}

func TestLimitsChange(t *testing.T) {
	r := newRig(t, 2)
	r.committed(of(1, 0), of(2, 0))
	r.refused(of(3, 0), protocol.CodeTooManyProducers)
	r.SetLimits(expiry, 3)
	r.committed(of(3, 0))
	r.SetLimits(expiry, 1)
	r.refused(of(4, 0), protocol.CodeTooManyProducers)
	r.duplicate(of(1, 0), 0) // none of them is forgotten
	r.committed(of(3, 1))
	r.pass(expiry / 2)
	r.committed(of(2, 1))
	r.SetLimits(expiry/4, 1)
	r.pass(expiry / 24)
	if r.Len() != 1 {
		t.Errorf("%d producers are remembered, want the one that was active within the shorter expiry", r.Len())
	}
	r.duplicate(of(2, 1), 4)
	r.SetLimits(expiry, 1)
	r.pass(expiry / 2)
	r.duplicate(of(2, 1), 4)
}

func TestActiveProducerIsNotLeastRecent(t *testing.T) {
	const limit = 20
	table := producers.New(expiry, limit)
	table.Advance(start)
	for id := range int64(limit) {
		apply(table, id+1, 0, id)
	}
	table.Advance(start.Add(2 * expiry))
	apply(table, limit+1, 0, limit) // forgets 1, and knows that 2 is the next
	apply(table, 2, 1, limit+1)
	apply(table, limit+2, 0, limit+2)
	if _, known := table.Known(2); !known {
		t.Error("a producer that was just active is forgotten")
	}
	if _, known := table.Known(3); known {
		t.Error("the least recent producer is remembered beyond the limit")
	}
}

func TestIdleProducerIsEvicted(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, 0))
	r.pass(expiry)
	r.duplicate(of(1, 0), 0)
	r.pass(expiry / 12)
	if r.Len() != 0 {
		t.Errorf("%d producers are remembered", r.Len())
	}
}

// Also for Kafka and Redpanda: an evicted producer continues.
func TestEvictedProducerContinuesAtFirstUnacked(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, 0), of(1, 1))
	r.pass(2 * expiry)
	r.refused(of(1, 3).after(2), outOfOrder)
	r.accepted(of(1, 2), of(1, 3).after(2))
}

func TestProducerWithBatchInFlightIsNotEvicted(t *testing.T) {
	r := newRig(t, 10)
	r.committed(of(1, 0))
	r.accepted(of(1, 1))
	r.pass(2 * expiry)
	r.commitAll()
	r.duplicate(of(1, 0), 0)
	r.pass(expiry) // from the commit on
	r.duplicate(of(1, 1), 1)
}

// Redpanda evicts the least recent producer too. Laneway refuses the new one: the
// retry of a live producer would be taken for a new batch.
func TestNewProducerIsRefusedAtLimit(t *testing.T) {
	r := newRig(t, 2)
	r.committed(of(1, 0), of(2, 0))
	r.refused(of(3, 0), protocol.CodeTooManyProducers)
	r.fence(3, 0, producers.FenceTooMany)
	r.pass(expiry / 2)
	r.committed(of(1, 1))
	r.refused(of(3, 0), protocol.CodeTooManyProducers)
	r.pass(expiry/2 + 2*time.Second)
	r.accepted(of(3, 0)) // in the place of 2
	r.duplicate(of(1, 0), 0)
	r.refused(of(2, 1), protocol.CodeTooManyProducers)
}

func TestClockJumpEvictsNoProducer(t *testing.T) {
	r := newRig(t, 10)
	r.Table = producers.New(protocol.MinProducerExpiry, 10)
	r.Advance(r.now)
	r.committed(of(1, 0))
	for _, jump := range []time.Duration{1000 * time.Hour, -5000 * time.Hour, 3000 * time.Hour} {
		r.now = r.now.Add(jump)
		r.Advance(r.now)
		r.Evict()
	}
	r.duplicate(of(1, 0), 0)
}
