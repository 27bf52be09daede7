package core_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestColdStartRefusesNoSequence(t *testing.T) {
	const producers, inFlight = 1000, 5
	random := rand.New(rand.NewPCG(1, 1))
	w := newWorld(t)
	w.settings.MaxLanes = producers
	o := w.leader("first")
	sent := make([]int32, producers)
	var waiting []messages.StagedBatch // released in the order of each lane
	for _, i := range random.Perm(producers * inFlight) {
		id := i % producers
		b := floored(of(int64(id)+1, uint64(sent[id])+1, sent[id]), 1)
		sent[id]++
		waiting = append(waiting, b)
	}
	for len(waiting) > 0 {
		n := min(len(waiting), 1+random.IntN(50))
		o.step(release(waiting[:n]...))
		waiting = waiting[n:]
		if o.append != nil && random.IntN(3) == 0 {
			o.ack()
		}
	}
	o.settle()
	got := answers(t, o.take())
	for _, a := range got {
		if a.code != protocol.CodeOK || a.duplicate {
			t.Fatalf("answered %+v", a)
		}
	}
	if len(got) != producers*inFlight || w.end() != producers*inFlight {
		t.Errorf("%d answers, the log ends at %d", len(got), w.end())
	}
	for id := range producers {
		w.expectNumbers(fmt.Sprint("i:", id+1), 1, 2, 3, 4, 5)
	}
}

// The second batch of a new producer must not take the place of the first one
// (redpanda#30429, redpanda#30937), however the first one was lost.
func TestSecondBatchNeverOvertakesFirst(t *testing.T) {
	for name, second := range map[string]messages.Release{
		"the first was given up":            release(of(7, 2, 1)),
		"the first had no ticket":           release(of(7, 1, 1)),
		"the first died with its frontend":  ofFrontend(2, of(7, 1, 1)),
		"the first was on another path":     release(onLane("other", of(7, 1, 1))),
		"the first is not told to be there": release(unacked(protocol.NotSaid, of(7, 1, 1))),
	} {
		t.Run(name, func(t *testing.T) {
			w, o := newLeader(t)
			o.step(second)
			o.settle()
			got := answers(t, o.take())
			if len(got) != 1 || got[0].code != protocol.CodeOutOfOrderSequence && got[0].code != protocol.CodeUnknownProducer {
				t.Fatalf("answered %+v", got)
			}
			again := second
			first, next := of(7, 8, 0), of(7, 9, 1)
			again.Batches = []messages.StagedBatch{first, next}
			o.step(again)
			o.settle()
			w.expectNumbers("i:7", 8, 9)
			w.end()
		})
	}
}

func onLane(lane string, b messages.StagedBatch) messages.StagedBatch {
	b.Lane = lane
	return b
}
