package transport_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
)

// TestProbesAreAnsweredOnSubjectsOfProbesOnly asks with reply subjects of either kind;
// what is handled is neither.
func TestProbesAreAnsweredOnSubjectsOfProbesOnly(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	core, logs := observer.New(zap.ErrorLevel)
	c := transport.NewConnection(conn, zap.New(core))
	if _, err := c.Subscribe(messages.SequencerWildcard, "", func(m messages.Message) { t.Errorf("received %+v", m) }); err != nil {
		t.Fatal(err)
	}
	answers := make(chan *nats.Msg, 2)
	for _, subject := range []string{messages.ProbePrefix + ">", messages.JournalWildcard} {
		if _, err := conn.ChanSubscribe(subject, answers); err != nil {
			t.Fatal(err)
		}
	}
	for _, reply := range []string{messages.JournalSubject(7), messages.ProbePrefix + "me.1"} {
		if err := conn.PublishRequest(messages.SequencerProbe, reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case m := <-answers:
		if m.Subject != messages.ProbePrefix+"me.1" || m.Header != nil || len(m.Data) != 0 {
			t.Errorf("answered %+v", m)
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing is answered")
	}
	if logs.Len() != 1 {
		t.Errorf("%d lines are logged, want one about a message without data that is no probe", logs.Len())
	}
}
