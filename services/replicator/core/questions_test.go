package core_test

import (
	"testing"
	"time"

	"laneway.dev/pkg/messages"
)

// listing is a question for the producers of the orders.
func listing(request uint64) messages.ListProducers {
	return messages.ListProducers{Partition: orders, Asker: 1, Request: request, Limit: 10}
}

// told returns the requests that were answered since the last take.
func told(o *owner) (requests []uint64) {
	for _, m := range sentOf[messages.Producers](o) {
		requests = append(requests, m.Request)
	}
	return requests
}

func TestListsAreAnsweredWithPauses(t *testing.T) {
	w, o := newLeader(t)
	for id := range int64(1000) {
		o.commit(of(id+1, uint64(id)+1, 0))
	}
	o.take()
	o.step(listing(1), listing(2), listing(2), listing(3))
	if got := told(o); len(got) != 1 || got[0] != 1 {
		t.Fatalf("answered at once: %v", got)
	}
	o.step(listing(2))
	if got := told(o); len(got) != 0 {
		t.Fatalf("answered without rest: %v", got)
	}
	for request := uint64(2); request <= 3; request++ {
		w.pass(time.Millisecond)
		o.step()
		if got := told(o); len(got) != 1 || got[0] != request {
			t.Fatalf("answered after a rest: %v, want %d", got, request)
		}
	}
	w.pass(time.Second)
	o.step()
	if got := told(o); len(got) != 0 {
		t.Fatalf("a repetition is answered too: %v", got)
	}
}

func TestListRequestsAreBounded(t *testing.T) {
	w, o := newLeader(t)
	for request := range uint64(10_000) {
		o.step(listing(request))
	}
	o.take()
	answered := 0
	for range 1000 {
		w.pass(time.Second)
		o.step()
		answered += len(told(o))
	}
	if answered > 100 {
		t.Fatalf("%d questions have waited", answered)
	}
}

func TestListOfOneProducerIsAnsweredAtOnce(t *testing.T) {
	_, o := newLeader(t)
	o.commit(of(7, 1, 0), of(8, 2, 0))
	o.take()
	o.step(listing(1), listing(2))
	o.take()
	for id, want := range map[int64]int{7: 1, 9: 0} {
		question := listing(3)
		question.Only = id
		o.step(question)
		got := sentOf[messages.Producers](o)
		if len(got) != 1 || len(got[0].Producers) != want || got[0].Total != 2 {
			t.Fatalf("producer %d: %+v", id, got)
		}
	}
}
