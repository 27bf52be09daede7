package transport_test

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
)

func TestMalformedMessagesAreLogged(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	core, logs := observer.New(zapcore.ErrorLevel)
	c := transport.NewConnection(conn, zap.New(core))
	got := make(chan messages.Message, 3)
	sub, err := c.Subscribe(messages.SequencerWildcard, "", func(m messages.Message) { got <- m })
	if err != nil {
		t.Fatal(err)
	}
	p := protocol.Partition{Topic: "orders", TopicID: 7}
	if err := conn.Publish(messages.SequencerSubject(p), []byte("not a message")); err != nil {
		t.Fatal(err)
	}
	c.Send([]messages.Envelope{
		{Subject: messages.SequencerSubject(p), Message: messages.Hello{Partition: p, Term: 1}},
		{Subject: messages.SequencerSubject(p), Message: messages.Hello{Partition: p, Term: 2}},
	})
	for want := uint64(1); want <= 2; want++ {
		if m, ok := (<-got).(messages.Hello); !ok || m.Term != want {
			t.Fatalf("received %+v, want term %d", m, want)
		}
	}
	if logs.Len() != 1 {
		t.Fatalf("%d errors logged, want one for the message that cannot be read", logs.Len())
	}
	if err := transport.Drain(sub); err != nil {
		t.Fatal(err)
	}
	if err := transport.Unsubscribe(sub); err != nil {
		t.Fatalf("ending a subscription twice: %v", err)
	}
	if err := c.Flush(time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestWhatCannotBeSentIsLogged(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	core, logs := observer.New(zapcore.WarnLevel)
	c := transport.NewConnection(conn, zap.New(core))
	conn.Close()
	c.Send([]messages.Envelope{{Subject: "x", Message: messages.Hello{}}})
	if logs.Len() != 1 {
		t.Fatalf("%d warnings, want one", logs.Len())
	}
}
