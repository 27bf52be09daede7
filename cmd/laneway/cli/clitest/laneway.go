package clitest

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/cmd/laneway/cli"
	"laneway.dev/internal/embedded"
	"laneway.dev/pkg/protocol"
)

// Laneway imitates a Laneway with the topic orders. It answers what the test tells
// it to answer. Its methods are safe for concurrent use.
type Laneway struct {
	URL string // of its NATS server

	t    *testing.T
	conn *nats.Conn

	mu     sync.Mutex
	values []string // of the records that were produced, in order
}

// NewLaneway returns an imitation that knows the topic orders. It ends with the test.
func NewLaneway(t *testing.T, partitions int) *Laneway {
	t.Helper()
	server, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Shutdown() })
	l := &Laneway{t: t, URL: server.ClientURL()}
	if l.conn, err = nats.Connect(l.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.conn.Close)
	config, err := protocol.TopicConfig{Name: "orders", Partitions: partitions}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	topic := protocol.Topic{TopicConfig: config, ID: 7, Created: time.Unix(0, 0).UTC(), Logs: 4}
	l.Answer(protocol.TopicAPI+"info", protocol.TopicResponse{Topic: &topic})
	return l
}

// Handle calls handle for every request to a subject.
func (l *Laneway) Handle(subject string, handle func(*nats.Msg)) {
	l.t.Helper()
	if _, err := l.conn.Subscribe(subject, func(m *nats.Msg) { handle(m) }); err != nil {
		l.t.Fatal(err)
	}
	if err := l.conn.Flush(); err != nil {
		l.t.Fatal(err)
	}
}

// Answer answers every request to a subject with the same response.
func (l *Laneway) Answer(subject string, response any) {
	l.t.Helper()
	data, err := json.Marshal(response)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Handle(subject, func(m *nats.Msg) { _ = m.Respond(data) })
}

// TakeRecords acknowledges the batches that are produced to partition 0.
func (l *Laneway) TakeRecords() {
	l.Handle(protocol.Partition{Topic: "orders"}.ProduceSubject(), func(m *nats.Msg) {
		l.mu.Lock()
		defer l.mu.Unlock()
		offset := len(l.values)
		frame, err := protocol.NewFrameReader(m.Data)
		if err != nil {
			l.t.Error(err)
			return
		}
		defer frame.Close()
		for r, ok := frame.Next(); ok; r, ok = frame.Next() {
			l.values = append(l.values, string(r.Value))
		}
		_ = m.Respond(protocol.AppendProduceAck(nil, protocol.ProduceAck{
			Stream: "S", Topic: "orders", Offset: int64(offset), Sequence: uint64(offset) + 1, Records: len(l.values) - offset,
		}))
	})
}

// Produced returns the values of the records that TakeRecords has taken, separated
// by spaces.
func (l *Laneway) Produced() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.values, " ")
}

// Run runs a command of a grammar against the imitation.
func (l *Laneway) Run(grammar any, stdin string, args ...string) (code int, stdout, stderr string) {
	l.t.Helper()
	a, out, errs := App(l.t)
	a.Stdin = strings.NewReader(stdin)
	code = cli.Run(a, grammar, append(args, "--server", l.URL))
	return code, out.String(), errs.String()
}
