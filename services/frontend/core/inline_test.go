package core

import (
	"fmt"
	"testing"
	"time"

	"laneway.dev/pkg/messages"
)

func (w *world) produceSized(number, size int) {
	w.t.Helper()
	p := produce("a", fmt.Sprint(number))
	p.Payload = make([]byte, size)
	w.step(p)
}

// allowed returns which batches may be inline.
func (w *world) allowed() (list []bool) {
	for i := range w.stages {
		list = append(list, w.stages[i].Inline)
	}
	w.stages = nil
	return list
}

func (w *world) wantAllowed(want ...bool) {
	w.t.Helper()
	if got := w.allowed(); fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("allowed to be inline are %v, want %v", got, want)
	}
}

func TestSmallBatchesMayBeInline(t *testing.T) {
	w := newWorld(t)
	w.produceSized(1, 10)
	w.wantAllowed(false)
	w.log.AllowInline(100)
	w.produceSized(2, 100)
	w.produceSized(3, 101)
	large := produce("a", "compressed")
	large.Bytes = 101 // when it is not compressed
	w.step(large)
	w.wantAllowed(true, false, false)
	w.log.AllowInline(0)
	w.produceSized(4, 10)
	w.wantAllowed(false)
}

func TestInlineBytesHaveABudget(t *testing.T) {
	w := newWorld(t)
	w.log.AllowInline(inlineRate)
	w.produceSized(1, inlineRate/2)
	w.produceSized(2, inlineRate/2)
	w.produceSized(3, 1)
	w.wantAllowed(true, true, false)
	w.now = w.now.Add(time.Second / 4)
	w.produceSized(4, inlineRate/2)
	w.produceSized(5, inlineRate/4)
	w.wantAllowed(false, true)
	w.now = w.now.Add(time.Hour)
	w.produceSized(6, inlineRate)
	w.produceSized(7, 1)
	w.wantAllowed(true, false)
	w.log.AllowInline(inlineRate) // again, which adds nothing
	w.produceSized(8, 1)
	w.wantAllowed(false)
}

func TestBatchThatIsStagedAgainIsNotInline(t *testing.T) {
	w := newWorld(t)
	w.log.AllowInline(100)
	w.step(produce("a", "a1"))
	w.silent("a", 1)
	w.wantAllowed(true, false)
}

func TestInlineBatchesStayAllowedInANewEpoch(t *testing.T) {
	w := newWorld(t)
	w.log.AllowInline(100)
	w.step(messages.Fenced{Partition: testPartition, Epoch: testEpoch + 1})
	w.step(EpochTaken{Epoch: testEpoch + 2})
	w.step(messages.Announced{Partition: testPartition, Epoch: testEpoch + 2})
	w.step(produce("a", "a1"))
	w.wantAllowed(true)
}
