package snapshots_test

import (
	"sync"
	"testing"

	"laneway.dev/pkg/protocol"
)

func TestPartitionsWithoutSnapshotsAreKnownTogether(t *testing.T) {
	ctx, store, _ := open(t)
	const partitions = 64
	of := func(n int) protocol.Partition {
		return protocol.Partition{Topic: "orders", TopicID: 7, Number: int32(n), Incarnation: uint32(n % 2)}
	}
	for _, n := range []int{1, 10, 33} {
		save(ctx, t, store, of(n), 5)
	}
	has := func(n int) bool { return n == 1 || n == 10 || n == 33 }
	none := make([]bool, partitions)
	var wait sync.WaitGroup
	for n := range partitions {
		wait.Go(func() { none[n] = store.None(ctx, of(n)) })
	}
	wait.Wait()
	for n := range partitions {
		if none[n] == has(n) {
			t.Errorf("partition %d: %v, want the opposite", n, none[n])
		}
	}
	last := of(0)
	last.Incarnation = 100
	save(ctx, t, store, last, 7)
	if store.None(ctx, last) || !store.None(ctx, of(0)) {
		t.Error("the snapshot of another incarnation counts, or that of this one does not")
	}
}
