package producers_test

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/replicator/core/producers"
)

var start = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

const expiry = 24 * time.Hour

// rig drives a table as a core does.
type rig struct {
	*testing.T
	*producers.Table
	flying []*producers.Producer
	end    int64 // offset of the next record
	sizes  []int64
	now    time.Time
}

func newRig(t *testing.T, limit int) *rig {
	r := &rig{T: t, Table: producers.New(expiry, limit), now: start}
	r.Advance(start)
	return r
}

// pass lets time pass, as a core notices it.
func (r *rig) pass(d time.Duration) {
	for ; d > 0; d -= time.Minute {
		r.now = r.now.Add(min(d, time.Minute))
		r.Advance(r.now)
		r.Evict()
	}
}

// of is a batch of one record in epoch 0, whose producer has an OK for all before it.
func of(id int64, first int32) batch {
	return batch{messages.Sequence{ProducerID: id, First: first}, 1, first}
}

func (b batch) inEpoch(epoch int16) batch {
	b.ProducerEpoch = epoch
	return b
}

func (b batch) withRecords(n uint32) batch {
	b.records = n
	return b
}

// after says that the producer has no OK for what begins at a sequence.
func (b batch) after(unacked int32) batch {
	b.unacked = unacked
	return b
}

// send decides about a batch and accepts it if it may be.
func (r *rig) send(b batch) producers.Decision {
	j := r.Decide(b.Sequence, b.records, b.unacked)
	if j.Result == producers.Accept {
		r.flying = append(r.flying, r.Accept(j, b.Sequence, b.records))
		r.sizes = append(r.sizes, int64(b.records))
	}
	return j
}

func (r *rig) accepted(all ...batch) {
	r.Helper()
	for _, b := range all {
		if j := r.send(b); j.Result != producers.Accept {
			r.Fatalf("%+v gets %+v, want it accepted", b, j)
		}
	}
}

func (r *rig) refused(b batch, code protocol.Code) {
	r.Helper()
	if j := r.send(b); j.Result != producers.Refuse || j.Refusal.Code != code {
		r.Fatalf("%+v gets %+v, want %s", b, j, code.Kind().Name)
	}
}

func (r *rig) duplicate(b batch, offset int64) {
	r.Helper()
	if j := r.send(b); j.Result != producers.Duplicate || j.Offset != offset {
		r.Fatalf("%+v gets %+v, want a duplicate of offset %d", b, j, offset)
	}
}

// joins returns where the offset of the batch in flight will be.
func (r *rig) joins(b batch) *producers.Original {
	r.Helper()
	j := r.send(b)
	if j.Result != producers.DuplicateInFlight {
		r.Fatalf("%+v gets %+v, want it to join one in flight", b, j)
	}
	return j.Original
}

// fence asks for a fence of the producer named feed, and returns what the log gets of it.
func (r *rig) fence(id int64, epoch int16, want producers.FenceResult) messages.LoggedFence {
	r.Helper()
	p, logged, got := r.Fence(messages.ProducerFence{ProducerID: id, ProducerEpoch: epoch, Name: "feed"}, false)
	if got != want {
		r.Fatalf("the fence of epoch %d gets result %d, want %d", epoch, got, want)
	}
	if got == producers.FenceAccepted {
		r.flying, r.sizes = append(r.flying, p), append(r.sizes, 0)
	}
	return logged
}

// commit commits the oldest in flight.
func (r *rig) commit() {
	r.Commit(r.flying[0], r.end)
	r.end += r.sizes[0]
	r.flying, r.sizes = r.flying[1:], r.sizes[1:]
}

func (r *rig) commitAll() {
	for len(r.flying) > 0 {
		r.commit()
	}
}

// committed has batches accepted and committed.
func (r *rig) committed(all ...batch) {
	r.Helper()
	r.accepted(all...)
	r.commitAll()
}

// fail lets the append of all in flight fail.
func (r *rig) fail() {
	r.RollBack()
	r.flying, r.sizes = nil, nil
}

// restore continues with a table made from a snapshot.
func (r *rig) restore(limit int) {
	restored := producers.New(expiry, limit)
	restored.Restore(r.At(), r.Snapshot())
	r.fail()
	r.Table = restored
}
