package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// place is where the records of a measurement go: a topic or a stream, made for
// it alone. It belongs to one goroutine.
type place interface {
	// sender returns the n-th of the producers, which uses a connection that it
	// does not close. Each belongs to one goroutine.
	sender(ctx context.Context, conn *nats.Conn, n int) (sender, error)
	// publish sends a single record and returns when it is acknowledged. It is
	// safe for concurrent use.
	publish(ctx context.Context, value []byte) error
	// consume reads everything from the beginning, in order.
	consume(ctx context.Context, records int64, check *checker) error
	// connect connects anew, to servers that were restarted.
	connect() error
	// records asks the server how many there are.
	records(ctx context.Context) (int64, error)
	// remove deletes the topic or stream and closes connections.
	remove(ctx context.Context) error
}

// sender is one producer.
type sender interface {
	// send sends for as long as it may, and returns how many records were
	// acknowledged once all that it sent are. Without error these are all.
	send(ctx context.Context, allowance *allowance) (int64, error)
	close(ctx context.Context) error
}

// allowance says for how long producers may send. It is safe for concurrent use.
type allowance struct {
	until   time.Time
	records atomic.Int64
}

func newAllowance(duration time.Duration, records int64) *allowance {
	a := &allowance{until: time.Now().Add(duration)}
	a.records.Store(records)
	return a
}

// take takes n records; false when that is too many.
func (a *allowance) take(n int) bool {
	return time.Now().Before(a.until) && a.records.Add(-int64(n)) >= 0
}

// connect opens a connection that the caller closes.
func connect(url string) (*nats.Conn, error) {
	conn, err := nats.Connect(url, nats.Name("laneway bench"), nats.NoReconnect())
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", url, err)
	}
	return conn, nil
}
