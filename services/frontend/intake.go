package frontend

import (
	"errors"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/wire"
	"laneway.dev/pkg/messages"
)

// What may wait to be admitted or refused, for each partition. Beyond it requests
// are dropped, which is logged; their producers hear nothing.
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
func openIntake(conn *nats.Conn, subjects []string, handle nats.MsgHandler, log *zap.Logger) (*intake, error) {
	if len(subjects) == 1 {
		sub, err := conn.QueueSubscribe(subjects[0], messages.FrontendQueue, handle)
		if err != nil {
			return nil, err
		}
		if err := sub.SetPendingLimits(maxWaiting, maxWaitingBytes); err != nil {
			return nil, errors.Join(err, wire.Unsubscribe(sub))
		}
		return &intake{subs: []*nats.Subscription{sub}}, nil
	}
	in := &intake{collector: collect(handle, log, room{maxWaiting / 2, maxWaitingBytes / 2})}
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

// room is what a collector may gather, of the batch that is handled not counted.
type room struct{ messages, bytes int }

// collector takes messages from a channel as fast as they arrive, because the NATS
// client drops what does not fit into it, and has them handled one by one.
type collector struct {
	log     *zap.Logger
	room    room
	arrived chan *nats.Msg
	stop    chan struct{} // closed when nothing arrives any more
	done    chan struct{} // closed when everything is handled
}

func collect(handle nats.MsgHandler, log *zap.Logger, room room) *collector {
	c := &collector{log: log, room: room, arrived: make(chan *nats.Msg, maxArrived), stop: make(chan struct{}), done: make(chan struct{})}
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
	bytes, dropped := 0, 0
	add := func(m *nats.Msg) {
		if len(waiting) >= c.room.messages || bytes >= c.room.bytes {
			dropped++ // the channel would hold far more bytes than these
			return
		}
		waiting = append(waiting, m)
		bytes += m.Size()
	}
	for {
		out := batches
		if len(waiting) == 0 {
			out = nil
		}
		select {
		case m := <-c.arrived:
			add(m)
		case out <- waiting:
			if dropped > 0 {
				c.log.Error("requests were dropped, because they arrive faster than they can be refused", zap.Int("requests", dropped))
			}
			waiting, bytes, dropped = nil, 0, 0
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
