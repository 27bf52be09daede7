package produce

import (
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// maxArrived bounds the messages that wait in the channel of a collector. Usually few do,
// because the collector moves them to its own queue as soon as it runs.
const maxArrived = 1 << 16

// collector receives the messages of several subjects from one channel and calls a handler
// for each, in the order of arrival. It empties the channel as fast as messages arrive and
// keeps them in its own queue, because the NATS client drops those that do not fit.
type collector struct {
	room    room
	arrived chan *nats.Msg
	stop    chan struct{} // closed by close, after the last message has arrived
	done    chan struct{} // closed when all messages are handled

	messages, bytes atomic.Int64  // waiting or being handled
	dropped         atomic.Uint64 // because of the limit
}

// room is the limit of a collector.
type room struct{ messages, bytes int64 }

// collect starts a collector, whose handler is not called before the channel begins is closed.
func collect(handle nats.MsgHandler, room room, begins <-chan struct{}) *collector {
	c := &collector{room: room, arrived: make(chan *nats.Msg, maxArrived), stop: make(chan struct{}), done: make(chan struct{})}
	batches := make(chan []*nats.Msg)
	go c.run(batches)
	go func() {
		defer close(c.done)
		<-begins
		for batch := range batches {
			for i, m := range batch {
				batch[i] = nil // frees the message before the rest of the batch is handled
				size := int64(m.Size())
				handle(m)
				c.bytes.Add(-size)
				c.messages.Add(-1)
			}
		}
	}()
	return c
}

// run queues arriving messages while the handler works on the batch before them.
func (c *collector) run(batches chan<- []*nats.Msg) {
	defer close(batches)
	var waiting []*nats.Msg
	for {
		out := batches
		if len(waiting) == 0 {
			out = nil
		}
		select {
		case m := <-c.arrived:
			waiting = c.add(waiting, m)
		case out <- waiting:
			waiting = nil
		case <-c.stop:
			for len(c.arrived) > 0 {
				waiting = c.add(waiting, <-c.arrived)
			}
			batches <- waiting
			return
		}
	}
}

// add appends a message, or drops it at the limit.
func (c *collector) add(waiting []*nats.Msg, m *nats.Msg) []*nats.Msg {
	if c.messages.Load() >= c.room.messages || c.bytes.Load() >= c.room.bytes {
		c.dropped.Add(1)
		return waiting
	}
	c.messages.Add(1)
	c.bytes.Add(int64(m.Size()))
	return append(waiting, m)
}

// waiting returns the messages that have arrived and are not handled.
func (c *collector) waiting() (messages, bytes int64) {
	return c.messages.Load() + int64(len(c.arrived)), c.bytes.Load()
}

func (c *collector) close() {
	close(c.stop)
	<-c.done
}
