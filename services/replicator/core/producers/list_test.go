package producers_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/core/producers"
)

func TestListReturnsPagesOfLowestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.Int64Range(1, 200), 0, 60, rapid.ID[int64]).Draw(t, "ids")
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		table := producers.New(expiry, 100)
		table.Advance(start)
		for _, id := range ids {
			table.ApplyBatch(messages.Sequence{ProducerID: id}, 1, id)
		}
		table.Fence(messages.ProducerFence{ProducerID: 201, ProducerEpoch: 1}, false) // only in flight
		slices.Sort(ids)
		var listed []int64
		for after, more := int64(0), true; more; {
			var page []messages.KnownProducer
			page, more = table.List(after, limit)
			if len(page) > limit || more && len(page) < limit {
				t.Fatalf("a page of %d producers, more: %t", len(page), more)
			}
			for _, p := range page {
				listed, after = append(listed, p.ProducerID), p.ProducerID
			}
		}
		if !slices.Equal(listed, ids) {
			t.Fatalf("listed %v, want %v", listed, ids)
		}
	})
}
