package main

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/embedded"
	"laneway.dev/pkg/protocol"
)

// scripted plays Laneway for one topic, as far as a test says what it answers.
type scripted struct {
	t    *testing.T
	url  string
	conn *nats.Conn

	mu     sync.Mutex
	values []string // of the records that were produced, in order
}

// newScripted returns one that knows the topic orders.
func newScripted(t *testing.T, partitions int) *scripted {
	t.Helper()
	server, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Shutdown() })
	s := &scripted{t: t, url: server.ClientURL()}
	if s.conn, err = nats.Connect(s.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.conn.Close)
	config, err := protocol.TopicConfig{Name: "orders", Partitions: partitions}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	topic := protocol.Topic{TopicConfig: config, ID: 7, Created: time.Unix(0, 0).UTC()}
	s.answer(protocol.TopicAPI+"info", protocol.TopicResponse{Topic: &topic})
	return s
}

func (s *scripted) handle(subject string, handle func(*nats.Msg)) {
	s.t.Helper()
	if _, err := s.conn.Subscribe(subject, func(m *nats.Msg) { handle(m) }); err != nil {
		s.t.Fatal(err)
	}
	if err := s.conn.Flush(); err != nil {
		s.t.Fatal(err)
	}
}

// answer answers every request with the same response.
func (s *scripted) answer(subject string, response any) {
	s.t.Helper()
	data, err := json.Marshal(response)
	if err != nil {
		s.t.Fatal(err)
	}
	s.handle(subject, func(m *nats.Msg) { _ = m.Respond(data) })
}

// takeRecords takes what is produced to partition 0.
func (s *scripted) takeRecords() {
	s.handle(protocol.Partition{Topic: "orders"}.ProduceSubject(), func(m *nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		offset := len(s.values)
		frame, err := protocol.NewFrameReader(m.Data)
		if err != nil {
			s.t.Error(err)
			return
		}
		defer frame.Close()
		for r, ok := frame.Next(); ok; r, ok = frame.Next() {
			s.values = append(s.values, string(r.Value))
		}
		_ = m.Respond(protocol.AppendProduceAck(nil, protocol.ProduceAck{
			Stream: "S", Topic: "orders", Offset: int64(offset), Sequence: uint64(offset) + 1, Records: len(s.values) - offset,
		}))
	})
}

func (s *scripted) produced() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.values, " ")
}

// laneway runs a command against it.
func (s *scripted) laneway(stdin string, args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	a, out, errs := testApp(s.t)
	a.stdin = strings.NewReader(stdin)
	code = run(a, append(args, "--server", s.url))
	return code, out.String(), errs.String()
}
