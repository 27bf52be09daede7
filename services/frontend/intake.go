package frontend

import (
	"github.com/nats-io/nats.go"

	"laneway.dev/internal/wire"
	"laneway.dev/pkg/messages"
)

// What may wait to be admitted or refused, for each partition. Beyond it the NATS
// client drops requests, and logs that.
const (
	maxWaiting      = 1 << 20
	maxWaitingBytes = 512 << 20
	// maxArrived is what arrives on several subjects before their collector
	// gets to run.
	maxArrived = 1 << 16
)

// intake is the subscriptions on which a partition's requests arrive. One
// goroutine handles them all, in the order in which they arrived.
type intake struct {
	subs      []*nats.Subscription
	collector *collector // of several subjects; nil for one
}

// openIntake subscribes to the subjects. A subscription with a callback has a
// goroutine of its own, so that several would mix up the requests of a producer.
// Several subjects therefore share a channel, which the connection fills in the
// order of arrival.
func openIntake(conn *nats.Conn, subjects []string, handle nats.MsgHandler) (*intake, error) {
	if len(subjects) == 1 {
		sub, err := conn.QueueSubscribe(subjects[0], messages.FrontendQueue, handle)
		if err != nil {
			return nil, err
		}
		return &intake{subs: []*nats.Subscription{sub}}, sub.SetPendingLimits(maxWaiting, maxWaitingBytes)
	}
	in := &intake{collector: collect(handle)}
	for _, subject := range subjects {
		sub, err := conn.ChanQueueSubscribe(subject, messages.FrontendQueue, in.collector.arrived)
		if err != nil {
			_ = in.close() // the error to tell is that of the subscription
			return nil, err
		}
		in.subs = append(in.subs, sub)
	}
	return in, nil
}

// close ends the subscriptions and returns when all that was delivered is handled.
func (in *intake) close() error {
	err := wire.Drain(in.subs...)
	if in.collector != nil {
		in.collector.close()
	}
	return err
}

// collector takes messages from a channel as fast as they arrive, because the NATS
// client drops what does not fit into it, and has them handled one by one.
type collector struct {
	arrived chan *nats.Msg
	stop    chan struct{} // closed when nothing arrives any more
	done    chan struct{} // closed when everything is handled
}

func collect(handle nats.MsgHandler) *collector {
	c := &collector{arrived: make(chan *nats.Msg, maxArrived), stop: make(chan struct{}), done: make(chan struct{})}
	batches := make(chan []*nats.Msg)
	go c.run(batches)
	go func() {
		defer close(c.done)
		for batch := range batches {
			for i, m := range batch {
				batch[i] = nil // it may be long until the batch is done
				handle(m)
			}
		}
	}()
	return c
}

// run gathers what arrives while the batch before is handled. Each of the two
// may have half of what may wait.
func (c *collector) run(batches chan<- []*nats.Msg) {
	defer close(batches)
	var waiting []*nats.Msg
	bytes := 0
	add := func(m *nats.Msg) {
		waiting = append(waiting, m)
		bytes += m.Size()
	}
	for {
		in, out := c.arrived, batches
		if len(waiting) >= maxWaiting/2 || bytes >= maxWaitingBytes/2 {
			in = nil
		}
		if len(waiting) == 0 {
			out = nil
		}
		select {
		case m := <-in:
			add(m)
		case out <- waiting:
			waiting, bytes = nil, 0
		case <-c.stop:
			for len(c.arrived) > 0 {
				add(<-c.arrived)
			}
			batches <- waiting
			return
		}
	}
}

func (c *collector) close() {
	close(c.stop)
	<-c.done
}
