package core

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func partition(n int) protocol.Partition {
	p := partition0
	p.Number = int32(n)
	return p
}

// of returns a message about partition 0 as one about another partition.
func of(n int, s messages.Staged) messages.Staged {
	s.Partition = partition(n)
	return s
}

// newLogRig returns a log with the partitions 0 to 2.
func newLogRig(t *testing.T) *rig {
	r := newRig(t)
	r.step(Added{partition(1)}, Added{partition(2)})
	return r
}

// partitions returns the numbers of the partitions of what is sent, in order.
func (s sent) partitions() (numbers []int32) {
	for _, e := range s {
		numbers = append(numbers, e.Message.Of().Number)
	}
	return numbers
}

func TestEffectsOfPartitionsFollowTheirFirstEvents(t *testing.T) {
	r := newLogRig(t)
	got := r.step(of(2, staged(batch("a", 1, 1))), of(0, staged(batch("a", 1, 1))), of(2, staged(batch("a", 2, 1))), of(1, staged(batch("a", 2, 1))))
	want(t, "released", got.partitions(), []int32{2, 0})
	want(t, "batches of the first", len(got[0].Message.(messages.Release).Batches), 2)
	want(t, "stats", r.log.Stats().Completions, uint64(4))
}

func TestIdlePartitionsTakeNoPartInATurn(t *testing.T) {
	r := newLogRig(t)
	r.step(of(1, staged(batch("a", 1, 1))))
	for range 3 { // until the lane of the partition is forgotten
		r.wait(heartbeat)
		r.step(messages.Advance{Partition: partition(1), Epoch: frontend, Lanes: []messages.LaneProgress{progress("a", 2, 1)}})
	}
	want(t, "lanes", r.log.Stats().Lanes, 0)
	for _, m := range r.log.cores.All() {
		want(t, "idle", m.Core.idle(), true)
	}
}

func TestFencedLogTakesOneEpochForAllPartitions(t *testing.T) {
	r := newLogRig(t)
	fenced := func(n int, epoch uint64) messages.Fenced {
		return messages.Fenced{Partition: partition(n), Epoch: epoch}
	}
	want(t, "two fences in a turn", r.effects(fenced(1, 8), fenced(0, 9)).TakeEpoch, uint64(9))
	want(t, "a lower one meanwhile", r.effects(fenced(2, 9)).TakeEpoch, uint64(0))
	want(t, "a higher one meanwhile", r.effects(fenced(2, 11)).TakeEpoch, uint64(11))
	r.step(EpochTaken{12}, Added{partition(3)})
	for n := range 4 {
		got := r.step(messages.Hello{Partition: partition(n), Term: 3})
		want(t, "epoch of a release", got[0].Message.(messages.Release).SequencerEpoch, uint64(12))
	}
	want(t, "a fence above that", r.effects(fenced(1, 13)).TakeEpoch, uint64(13))
}

func TestRemovedPartitionLeavesNothing(t *testing.T) {
	r := newLogRig(t)
	r.step(of(1, staged(batch("a", 2, 1))), of(2, staged(batch("a", 2, 1))))
	r.wait(heartbeat)
	r.step()
	want(t, "lanes", r.log.Stats().Lanes, 2)
	r.step(Removed{partition(1)}, Removed{partition(7)})
	want(t, "stats", r.log.Stats(), Stats{Completions: 2, Early: 2, Lanes: 1, Waiting: 1})
	r.silent("a late message", r.step(of(1, staged(batch("a", 1, 1)))))
	r.wait(time.Hour)
	r.silent("a beat", r.step())
	want(t, "partitions", len(r.log.cores.All()), 2)
}
