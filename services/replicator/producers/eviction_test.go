package producers_test

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/services/replicator/producers"
)

var start = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

const expiry = 24 * time.Hour

// sequence is the place of a batch in epoch 0.
func sequence(id int64, first int32) messages.Sequence {
	return messages.Sequence{ProducerID: id, First: first}
}

func TestALogThatIsReadForgetsNoMoreProducersThanItsWriterDid(t *testing.T) {
	const limit = 50
	table := producers.New(expiry, limit)
	table.Advance(start)
	for id := range int64(limit + 1) {
		table.ApplyBatch(sequence(id+1, 0), 1, id)
	}
	if n := table.Len(); n != limit {
		t.Fatalf("%d producers are remembered, want %d", n, limit)
	}
	if _, known := table.Known(1); known {
		t.Error("the least recent producer is remembered beyond the limit")
	}
	for id := int64(2); id <= limit+1; id++ {
		if j := table.Judge(sequence(id, 0), 1, 0); j.Verdict != producers.Duplicate || j.Offset != id-1 {
			t.Fatalf("the retry of producer %d is judged %+v", id, j)
		}
	}
}

func TestAProducerThatIsActiveAgainIsNotTheLeastRecent(t *testing.T) {
	const limit = 20
	table := producers.New(expiry, limit)
	table.Advance(start)
	for id := range int64(limit + 1) { // forgets 1, and knows that 2 is the next
		table.ApplyBatch(sequence(id+1, 0), 1, id)
	}
	table.ApplyBatch(sequence(2, 1), 1, limit+1)
	table.ApplyBatch(sequence(limit+2, 0), 1, limit+2)
	if _, known := table.Known(2); !known {
		t.Error("a producer that was just active is forgotten")
	}
	if _, known := table.Known(3); known {
		t.Error("the least recent producer is remembered beyond the limit")
	}
}
