package transport

import (
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// quiet is the time without events that ends a burst.
const quiet = 10 * time.Second

// Burst recognizes the first of events in close succession, so that only one of them
// is logged. The zero value is ready for use. It is safe for concurrent use.
type Burst struct {
	mu   sync.Mutex
	last time.Time
}

// Begins notes an event and reports whether none has come for a while.
func (b *Burst) Begins(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	begins := b.last.IsZero() || now.Sub(b.last) >= quiet
	b.last = now
	return begins
}

// drops counts what the NATS client drops because a subscription has no room for it.
// It is safe for concurrent use.
type drops struct {
	log   *zap.Logger
	burst Burst

	mu     sync.Mutex
	ended  uint64                        // of subscriptions that are closed
	counts map[*nats.Subscription]uint64 // of those that have dropped anything, when last looked at
}

// handle is the connection's error handler, around the one that was there.
func (d *drops) handle(next nats.ErrHandler) nats.ErrHandler {
	return func(conn *nats.Conn, sub *nats.Subscription, err error) {
		if sub == nil || !errors.Is(err, nats.ErrSlowConsumer) {
			if next != nil {
				next(conn, sub, err)
			}
			return
		}
		d.note(sub)
		if d.burst.Begins(time.Now()) {
			d.log.Error("messages are dropped, because they arrive faster than they are taken; the service's metric dropped_total counts them",
				zap.String("subject", sub.Subject))
		}
	}
}

// note looks at a subscription that has dropped something.
func (d *drops) note(sub *nats.Subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.counts == nil {
		d.counts = make(map[*nats.Subscription]uint64)
	}
	if _, known := d.counts[sub]; !known {
		d.counts[sub] = 0
	}
	d.look()
}

// look reads the counters of the subscriptions. Those of a closed one cannot be read
// any more.
func (d *drops) look() {
	for sub := range d.counts {
		dropped, err := sub.Dropped()
		if err != nil {
			d.ended += d.counts[sub]
			delete(d.counts, sub)
			continue
		}
		d.counts[sub] = uint64(dropped)
	}
}

func (d *drops) total() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	sum := d.ended
	for _, dropped := range d.counts {
		sum += dropped
	}
	return sum
}
