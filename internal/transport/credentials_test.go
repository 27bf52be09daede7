package transport_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"laneway.dev/internal/transport"
)

func TestConnectionOutlivesRefusedCredentials(t *testing.T) {
	options := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Username: "alice", Password: "first",
	}
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	core, logs := observer.New(zapcore.ErrorLevel)
	refused, back := make(chan struct{}, 1000), make(chan struct{}, 1)
	settings := transport.Options(t.Name(), zap.New(core))
	conn, err := nats.Connect(s.ClientURL(), append(settings, nats.UserInfo("alice", "first"), func(o *nats.Options) error {
		report, reconnected := o.AsyncErrorCB, o.ReconnectedCB
		o.AsyncErrorCB = func(c *nats.Conn, sub *nats.Subscription, err error) { report(c, sub, err); refused <- struct{}{} }
		o.ReconnectedCB = func(c *nats.Conn) { reconnected(c); back <- struct{}{} }
		return nil
	})...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	// Connections with the old password are closed by the reload.
	change := func(password string) {
		changed := options.Clone()
		changed.Password = password
		if err := s.ReloadOptions(changed); err != nil {
			t.Fatal(err)
		}
	}
	change("second")
	const often = 4 // nats.go gives up at the second refusal unless told otherwise
	for range often {
		receive(t, refused)
	}
	change("first")
	receive(t, back)
	if got := logs.FilterMessageSnippet("refuses the credentials").Len(); got != 1 {
		t.Errorf("%d errors logged, want one", got)
	}
}

func receive(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
	}
}
