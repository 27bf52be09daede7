package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// place is where the records of a measurement go: topics or streams that exist for the
// measurement alone. It belongs to one goroutine.
type place interface {
	// create creates the topics or streams. It comes before everything but connect.
	create(ctx context.Context) error
	// targets is the number of partitions or streams.
	targets() int
	// sender returns the n-th of the producers, which uses a connection that it
	// does not close. Each belongs to one goroutine.
	sender(ctx context.Context, conn *nats.Conn, n int) (sender, error)
	// publish sends a single record to a target and returns when it is acknowledged. It
	// sets the subject of the message. It is safe for concurrent use.
	publish(ctx context.Context, target int, m *nats.Msg, options ...jetstream.PublishOpt) error
	// seed lets so many producers send a record to each of these targets.
	seed(ctx context.Context, targets []int, producers int) error
	// consume reads everything of a single target from the beginning, in order.
	consume(ctx context.Context, records int64, check *checker) error
	// connect connects again, to servers that were restarted.
	connect() error
	// records asks the server how many there are in all targets.
	records(ctx context.Context) (int64, error)
	// remove deletes topics that would stay, and closes the connection.
	remove(ctx context.Context) error
}

// sender is one producer.
type sender interface {
	// send sends for as long as the allowance permits, waits until all records are
	// acknowledged, and returns their number. If fewer are acknowledged than were sent, it
	// returns an error.
	send(ctx context.Context, allowance *allowance) (int64, error)
	close(ctx context.Context) error
}

// allowance bounds what all producers together send, by time and by number. It is safe for
// concurrent use.
type allowance struct {
	until   time.Time
	records atomic.Int64
}

func newAllowance(duration time.Duration, records int64) *allowance {
	a := &allowance{until: time.Now().Add(duration)}
	a.records.Store(records)
	return a
}

// take takes n records from the allowance and reports whether they may be sent.
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

// stampBytes is the size of what identifies a record: its producer and its number, counted
// from 0.
const stampBytes = 12

// recordMaker makes the records of one producer. It belongs to one goroutine.
type recordMaker struct {
	producer uint32
	next     uint64
	filling  []byte // random, twice as long as a record
	size     int
}

func newRecordMaker(producer, size int) *recordMaker {
	m := &recordMaker{producer: uint32(producer), filling: make([]byte, 2*size), size: size}
	source := rand.NewChaCha8([32]byte{byte(producer)})
	_, _ = source.Read(m.filling) // never fails
	return m
}

// fill writes the next record into value, which has the size of a record.
func (m *recordMaker) fill(value []byte) {
	copy(value, m.filling[int(m.next)%m.size:])
	binary.BigEndian.PutUint32(value, m.producer)
	binary.BigEndian.PutUint64(value[4:], m.next)
	m.next++
}

// checker checks that the records of every producer come completely and in order. It
// belongs to one goroutine.
type checker struct {
	size    int
	next    map[uint32]uint64
	records int64
}

func newChecker(size int) *checker { return &checker{size: size, next: make(map[uint32]uint64)} }

// record checks the next record.
func (c *checker) record(value []byte) error {
	if len(value) != c.size {
		return fmt.Errorf("record %d came back with %d bytes instead of %d", c.records, len(value), c.size)
	}
	producer, number := binary.BigEndian.Uint32(value), binary.BigEndian.Uint64(value[4:])
	if number != c.next[producer] {
		return fmt.Errorf("of producer %d came record %d, %d was expected", producer, number, c.next[producer])
	}
	c.next[producer]++
	c.records++
	return nil
}

// several checks the records of one message.
func (c *checker) several(data []byte) error {
	if len(data) == 0 || len(data)%c.size != 0 {
		return fmt.Errorf("a message of %d bytes is not made of records of %d", len(data), c.size)
	}
	for ; len(data) > 0; data = data[c.size:] {
		if err := c.record(data[:c.size]); err != nil {
			return err
		}
	}
	return nil
}
