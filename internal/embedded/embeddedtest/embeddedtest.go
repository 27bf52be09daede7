// Package embeddedtest starts an embedded NATS server for one test.
package embeddedtest

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/transport"
)

// Start runs a server with a random port and a temporary folder until the test
// ends. It returns a connection with the options of the services.
func Start(t testing.TB) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	log := zaptest.NewLogger(t, zaptest.Level(zapcore.WarnLevel))
	server, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	conn, err := server.Connect(transport.Options(t.Name(), log)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, js
}
