package producers

import (
	"context"
	"slices"
	"sync"
	"time"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

// asked are questions to replicators that wait for their answers, by what an
// answer names. It is safe for concurrent use.
type asked[K comparable, A any] struct {
	mu      sync.Mutex
	waiting map[K][]chan A // several may ask the same
}

// answer hands an answer to who waits for it; one that nobody waits for is a
// repetition.
func (q *asked[K, A]) answer(key K, a A) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, waiting := range q.waiting[key] {
		waiting <- a
	}
	delete(q.waiting, key)
}

func (q *asked[K, A]) open(key K) chan A {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == nil {
		q.waiting = make(map[K][]chan A)
	}
	waiting := make(chan A, 1)
	q.waiting[key] = append(q.waiting[key], waiting)
	return waiting
}

// close ends the waiting of one who has asked.
func (q *asked[K, A]) close(key K, waiting chan A) {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := slices.DeleteFunc(q.waiting[key], func(w chan A) bool { return w == waiting })
	if q.waiting[key] = left; len(left) == 0 {
		delete(q.waiting, key)
	}
}

// ask sends a question to the partition's replicator until it is answered or ctx
// ends: the question, the answer or the replicator may get lost.
func ask[K comparable, A any](ctx context.Context, a *API, q *asked[K, A], key K, question messages.Message) (A, error) {
	waiting := q.open(key)
	defer q.close(key, waiting)
	again := time.NewTicker(a.config.Heartbeat)
	defer again.Stop()
	for {
		a.config.Wire.Send([]messages.Envelope{{Subject: messages.ReplicatorSubject(question.Of()), Message: question}})
		select {
		case answer := <-waiting:
			return answer, nil
		case <-again.C:
			// It answers nothing while its log has lost entries.
			if what := a.config.Damage()[question.Of()]; what != "" {
				var none A
				return none, protocol.Errorf(protocol.CodePartitionDamaged, "partition %s: %s", question.Of(), what)
			}
		case <-ctx.Done():
			var none A
			return none, protocol.Errorf(protocol.CodeUnavailable,
				"the replicator of partition %s does not answer; is one running? (%v)", question.Of(), ctx.Err())
		}
	}
}
