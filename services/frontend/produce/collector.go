package produce

import (
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// maxArrived is what arrives on several subjects before their collector gets to run.
const maxArrived = 1 << 16

// collector takes messages from a channel as fast as they arrive, because the NATS
// client drops what does not fit into it, and has them handled one by one.
type collector struct {
	room    room
	arrived chan *nats.Msg
	stop    chan struct{} // closed when nothing arrives any more
	done    chan struct{} // closed when everything is handled

	messages, bytes atomic.Int64  // that wait or are being handled
	dropped         atomic.Uint64 // had no room
}

// room is how much may wait.
type room struct{ messages, bytes int64 }

func collect(handle nats.MsgHandler, room room) *collector {
	c := &collector{room: room, arrived: make(chan *nats.Msg, maxArrived), stop: make(chan struct{}), done: make(chan struct{})}
	batches := make(chan []*nats.Msg)
	go c.run(batches)
	go func() {
		defer close(c.done)
		for batch := range batches {
			for i, m := range batch {
				batch[i] = nil // it may be long until the batch is done
				size := int64(m.Size())
				handle(m)
				c.bytes.Add(-size)
				c.messages.Add(-1)
			}
		}
	}()
	return c
}

// run gathers what arrives while the batch before is handled.
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

// add appends a message, or drops it if there is no room.
func (c *collector) add(waiting []*nats.Msg, m *nats.Msg) []*nats.Msg {
	if c.messages.Load() >= c.room.messages || c.bytes.Load() >= c.room.bytes {
		c.dropped.Add(1)
		return waiting
	}
	c.messages.Add(1)
	c.bytes.Add(int64(m.Size()))
	return append(waiting, m)
}

// waiting returns what has arrived and is not handled.
func (c *collector) waiting() (messages, bytes int64) {
	return c.messages.Load() + int64(len(c.arrived)), c.bytes.Load()
}

func (c *collector) close() {
	close(c.stop)
	<-c.done
}
