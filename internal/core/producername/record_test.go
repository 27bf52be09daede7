package producername_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"laneway.dev/internal/core/producername"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

const (
	id      = 7
	otherID = 8
)

// after returns the record after instances have asked in this order.
func after(t *testing.T, instances ...string) producername.Record {
	t.Helper()
	var r producername.Record
	for _, instance := range instances {
		next, _, err := r.Next("orders", instance, id)
		if err != nil {
			t.Fatal(err)
		}
		r = next
	}
	return r
}

func TestEachInstanceGetsTheNextEpoch(t *testing.T) {
	for want := range 4 {
		r := after(t, []string{"a", "b", "", ""}[:want+1]...)
		if got, want := r.Fence(), (messages.ProducerFence{ProducerID: id, ProducerEpoch: int16(want), Name: "orders"}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestInstanceThatAsksAgainKeepsItsEpoch(t *testing.T) {
	r := after(t, "a", "b")
	next, changed, err := r.Next("orders", "b", otherID)
	if err != nil || changed || next.Fence() != r.Fence() {
		t.Errorf("%+v, changed %t, %v", next, changed, err)
	}
}

func TestReplacedInstanceGetsNoEpoch(t *testing.T) {
	for _, r := range []producername.Record{after(t, "a", "b"), after(t, "a", "")} {
		if _, _, err := r.Next("orders", "a", otherID); !errors.Is(err, protocol.NewError(protocol.CodeInvalidEpoch, "")) {
			t.Errorf("after %q: error %v, want INVALID_EPOCH", r.Instances, err)
		}
	}
}

func TestUsedUpEpochsLeadToAnotherID(t *testing.T) {
	r := after(t, "a")
	r.Epoch = protocol.MaxProducerEpoch
	next, _, err := r.Next("orders", "b", otherID)
	if err != nil || next.ID != otherID || next.Epoch != 0 {
		t.Errorf("%+v, %v", next, err)
	}
}

func TestSurpassingIsForTheNewestInstance(t *testing.T) {
	old := after(t, "a").Fence()
	r := after(t, "a", "b")
	if _, err := r.Surpass(old, 5, otherID); !errors.Is(err, protocol.NewError(protocol.CodeInvalidEpoch, "")) {
		t.Errorf("an older instance: error %v, want INVALID_EPOCH", err)
	}
	for epoch, want := range map[int16]int16{0: 2, 1: 2, 5: 6} {
		next, err := r.Surpass(r.Fence(), epoch, otherID)
		if err != nil || next.Epoch != want || next.ID != id {
			t.Errorf("above %d: %+v, %v; want epoch %d", epoch, next, err, want)
		}
	}
}

func TestMostRecentTopicsAreRemembered(t *testing.T) {
	r := after(t, "a")
	for topic := range uint64(300) {
		next, changed := r.Remember([]uint64{topic})
		if !changed {
			t.Fatalf("topic %d is not remembered", topic)
		}
		r = next
	}
	if len(r.Topics) != 256 || !slices.Contains(r.Topics, 299) || slices.Contains(r.Topics, 0) {
		t.Errorf("%d topics, from %d to %d", len(r.Topics), r.Topics[0], r.Topics[len(r.Topics)-1])
	}
	if _, changed := r.Remember([]uint64{299, 298}); changed {
		t.Error("topics that are known change the record")
	}
}

func TestRecordsAreNotChanged(t *testing.T) {
	r := after(t, "a", "b")
	before := fmt.Sprint(r)
	_, _, _ = r.Next("orders", "c", otherID)
	_, _ = r.Surpass(r.Fence(), 9, otherID)
	_, _ = r.Remember([]uint64{1})
	if now := fmt.Sprint(r); now != before {
		t.Errorf("%s, was %s", now, before)
	}
}
