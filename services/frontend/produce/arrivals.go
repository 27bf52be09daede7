package produce

import (
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
)

// maxArrived bounds the messages that wait in the channel of arrivals. Usually few do, because
// they are moved to the queue of their intake as soon as arrivals runs.
const maxArrived = 1 << 18

// arrivals receives the requests of all intakes. Each subscription with a callback has a goroutine
// and a queue of its own, so that two requests of one producer to two subjects could be handled
// in the wrong order. All subscriptions therefore share one channel, which the connection fills in
// the order of arrival. The NATS client drops what does not fit into the channel, so arrivals
// empties it as fast as messages arrive, into the queues of the intakes. It is safe for concurrent
// use.
type arrivals struct {
	conn     *transport.Connection
	channel  chan *nats.Msg
	settling chan chan struct{} // each is closed when what has arrived before is in the queues
	stop     chan struct{}      // closed by close
	done     chan struct{}      // closed when run has ended

	waiting atomic.Int64 // weight of what is in the queues

	mu      sync.Mutex
	queues  map[*nats.Subscription]*queue
	dropped uint64 // since their subscription had no queue, or its queue no room
}

// newArrivals returns arrivals; the caller runs them.
func newArrivals(conn *transport.Connection) *arrivals {
	return &arrivals{
		conn: conn, channel: make(chan *nats.Msg, maxArrived), settling: make(chan chan struct{}),
		stop: make(chan struct{}), done: make(chan struct{}), queues: make(map[*nats.Subscription]*queue),
	}
}

// close ends run. It MUST be called after all intakes are closed.
func (a *arrivals) close() {
	close(a.stop)
	<-a.done
}

// run fills the queues until close is called.
func (a *arrivals) run() {
	defer close(a.done)
	for {
		select {
		case m := <-a.channel:
			a.sort(m)
		case settled := <-a.settling:
			if len(a.channel) > 0 {
				a.sort(<-a.channel)
			}
			close(settled)
		case <-a.stop:
			return
		}
	}
}

// sort moves a message, and all that have arrived by now, to the queues of their intakes.
func (a *arrivals) sort(m *nats.Msg) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for more := len(a.channel); ; more-- {
		if q := a.queues[m.Sub]; q == nil || !q.put(m) {
			a.dropped++
		}
		if more == 0 {
			return
		}
		m = <-a.channel
	}
}

// settle returns when everything that has arrived is in the queues.
func (a *arrivals) settle() {
	settled := make(chan struct{})
	select {
	case a.settling <- settled:
		<-settled
	case <-a.done:
	}
}

// subscribe has the messages to a subject come into a queue.
func (a *arrivals) subscribe(subject string, q *queue) (*nats.Subscription, error) {
	a.mu.Lock() // a message may arrive before ChanQueueSubscribe returns
	defer a.mu.Unlock()
	sub, err := a.conn.Conn().ChanQueueSubscribe(subject, messages.FrontendQueue, a.channel)
	if err == nil {
		a.queues[sub] = q
	}
	return sub, err
}

// forget forgets subscriptions that have ended. What they have delivered is in their queues before.
func (a *arrivals) forget(subs []*nats.Subscription) {
	a.settle()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, sub := range subs {
		delete(a.queues, sub)
	}
}

// lost returns how many messages were dropped.
func (a *arrivals) lost() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dropped
}
