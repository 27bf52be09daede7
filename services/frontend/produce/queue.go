package produce

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// queue keeps the requests of one intake that have arrived and are not handled. A goroutine handles
// them one after another, in the order in which they are put. It runs only while there are some, so
// that an idle queue costs next to nothing. It is safe for concurrent use.
type queue struct {
	handle nats.MsgHandler
	room   room
	total  *atomic.Int64 // weight of all queues that share it

	mu              sync.Mutex
	waiting         []*nats.Msg
	messages, bytes int64         // waiting or being handled
	handled         int64         // weight of those that were handled
	idle            chan struct{} // closed when nothing is left; nil if nothing is
}

// room is the limit of a queue.
type room struct{ messages, bytes int64 }

// put adds a message. It returns false, and drops the message, at the limit.
func (q *queue) put(m *nats.Msg) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.messages >= q.room.messages || q.bytes >= q.room.bytes {
		return false
	}
	size := int64(m.Size())
	q.messages++
	q.bytes += size
	q.total.Add(weight(1, size))
	q.waiting = append(q.waiting, m)
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.work()
	}
	return true
}

// work handles messages until none is left.
func (q *queue) work() {
	for batch := q.next(); batch != nil; batch = q.next() {
		for i, m := range batch {
			batch[i] = nil // frees the message before the rest of the batch is handled
			size := int64(m.Size())
			q.handle(m)
			q.take(size)
		}
	}
}

// next returns what waits. If nothing does, it returns nil, and the queue is idle.
func (q *queue) next() []*nats.Msg {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.waiting
	q.waiting = nil
	if batch == nil {
		close(q.idle)
		q.idle = nil
	}
	return batch
}

// take counts a message as handled.
func (q *queue) take(size int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages--
	q.bytes -= size
	q.handled += weight(1, size)
	q.total.Add(-weight(1, size))
}

// backlog returns the weight of the messages that are not handled, and of all that were put.
func (q *queue) backlog() (waiting, received int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting = weight(q.messages, q.bytes)
	return waiting, waiting + q.handled
}

// empty waits until everything is handled, or ctx ends.
func (q *queue) empty(ctx context.Context) error {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
