// Package load sends batches as producers do, many at once, and records the answer
// to each. It uses nothing of Laneway but its subjects and the format of its
// answers, so any NATS client could do the same.
package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// Batch is one batch that was sent, with what became of it. At most one of Ack
// and Error is set; neither is when no answer came.
type Batch struct {
	Value    string // unique
	Sent     time.Time
	Ack      *protocol.ProduceAck
	Error    *protocol.Error
	Lost     bool // there were no responders
	Answered int  // place among the producer's answers, from 1; 0 is none
}

// Producer sends batches of one record on one lane, in order, with a bounded
// number of them unanswered. Send and Settle belong to one goroutine.
type Producer struct {
	Name     string
	conn     *nats.Conn
	subject  string
	inbox    string
	sub      *nats.Subscription
	patience time.Duration
	bytes    []int // of batches at least, in turn
	window   chan struct{}

	mu      sync.Mutex
	sent    []*flight
	answers int
	faults  []string
}

// flight is a batch with its place in the window.
type flight struct {
	Batch
	giveUp *time.Timer
	leave  sync.Once
}

// NewProducer returns a producer of a lane with this name. A batch without an
// answer leaves the window after patience. An answer that arrives later is still
// recorded.
func NewProducer(conn *nats.Conn, partition protocol.Partition, name string, inFlight int, patience time.Duration) (*Producer, error) {
	p := &Producer{
		Name: name, conn: conn, subject: partition.ProduceSubject(), inbox: conn.NewInbox(),
		patience: patience, window: make(chan struct{}, inFlight),
	}
	var err error
	if p.sub, err = conn.Subscribe(p.inbox+".*", p.answer); err != nil {
		return nil, err
	}
	return p, p.sub.SetPendingLimits(-1, -1)
}

// Send sends the next batch as soon as the window has room. After an error of
// the connection the batch counts as one without an answer.
func (p *Producer) Send(ctx context.Context) error {
	select {
	case p.window <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.mu.Lock()
	n, size := len(p.sent), 0
	if len(p.bytes) > 0 {
		size = p.bytes[n%len(p.bytes)]
	}
	f := &flight{Batch: Batch{Value: Value(p.Name, n), Sent: time.Now()}}
	p.sent = append(p.sent, f)
	reply := p.inbox + "." + strconv.Itoa(n)
	f.giveUp = time.AfterFunc(p.patience, func() {
		p.mu.Lock() // which Send holds until giveUp is set
		defer p.mu.Unlock()
		p.free(f)
	})
	p.mu.Unlock()
	err := p.conn.PublishMsg(&nats.Msg{
		Subject: p.subject, Reply: reply, Data: []byte(Pad(f.Value, size)),
		Header: nats.Header{protocol.HeaderProducer: {p.Name}},
	})
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // the server is away at this moment
		p.mu.Lock()
		f.Lost = true
		p.mu.Unlock()
		return nil
	}
	if err != nil {
		p.free(f) // no answer is to be expected; its value is not used again
	}
	return err
}

// free removes a batch from the window.
func (p *Producer) free(f *flight) {
	f.leave.Do(func() {
		f.giveUp.Stop()
		<-p.window
	})
}

// answer is the callback of the inbox.
func (p *Producer) answer(m *nats.Msg) {
	number, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || number >= len(p.sent) {
		p.faults = append(p.faults, fmt.Sprintf("an answer to %s, which was never asked", m.Subject))
		return
	}
	f := p.sent[number]
	if f.Answered != 0 {
		p.faults = append(p.faults, fmt.Sprintf("%s is answered twice: %s", f.Value, m.Data))
		return
	}
	p.answers++
	f.Answered = p.answers
	p.interpret(f, m)
	if !f.Lost { // else the next one would be lost as well
		p.free(f)
	}
}

func (p *Producer) interpret(f *flight, m *nats.Msg) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		f.Lost = true
		return
	}
	var ack protocol.ProduceAck
	switch err := json.Unmarshal(m.Data, &ack); {
	case err != nil:
		p.faults = append(p.faults, fmt.Sprintf("the answer to %s is no JSON: %q", f.Value, m.Data))
	case ack.Error != nil:
		f.Error = ack.Error
	default:
		f.Ack = &ack
	}
}

// Settle returns when every batch is answered or given up.
func (p *Producer) Settle(ctx context.Context) error {
	for range cap(p.window) {
		select {
		case p.window <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("producer %s: %d of %d batches are answered: %w",
				p.Name, p.answered(), len(p.Batches()), context.Cause(ctx))
		}
	}
	for range cap(p.window) {
		<-p.window
	}
	return nil
}

func (p *Producer) answered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answers
}

// Batches returns what was sent so far, in order, with what became of it.
func (p *Producer) Batches() []Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	batches := make([]Batch, len(p.sent))
	for i, f := range p.sent {
		batches[i] = f.Batch
	}
	return batches
}

// Faults returns what the answers had that no answer may have.
func (p *Producer) Faults() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// Close ends the producer's subscription.
func (p *Producer) Close() error { return p.sub.Unsubscribe() }

// Value returns the value of a producer's n-th batch.
func Value(producer string, n int) string { return fmt.Sprintf("%s %d", producer, n) }

// Pad makes a value longer: it is repeated until it has at least so many bytes.
func Pad(value string, bytes int) string {
	if len(value) >= bytes {
		return value
	}
	return value + strings.Repeat("\n"+value, bytes/(len(value)+1))
}

// Unpad returns the value that Pad has made longer. Nothing of it may be altered.
func Unpad(padded string) (string, error) {
	value, _, _ := strings.Cut(padded, "\n")
	if Pad(value, len(padded)) != padded {
		return "", fmt.Errorf("%.40q is altered", padded)
	}
	return value, nil
}

// ParseValue takes a value apart.
func ParseValue(value string) (producer string, n int, err error) {
	producer, number, found := strings.Cut(value, " ")
	if !found {
		return "", 0, fmt.Errorf("%q was sent by no producer", value)
	}
	n, err = strconv.Atoi(number)
	return producer, n, err
}
