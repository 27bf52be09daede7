package partitionlog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/internal/partitionlog"
	"laneway.dev/pkg/messages"
)

// withoutJetStream returns a connection to a server without JetStream, which a test plays, because a
// real one answers.
func withoutJetStream(t *testing.T) *nats.Conn {
	t.Helper()
	server, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true})
	must(t, err)
	server.Start()
	t.Cleanup(func() { server.Shutdown(); server.WaitForShutdown() })
	if !server.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	conn, err := nats.Connect(server.ClientURL())
	must(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func TestReadEndsWhenTheConnectionIsClosed(t *testing.T) {
	conn := withoutJetStream(t)
	_, err := conn.Subscribe("$JS.API.DIRECT.GET.>", func(*nats.Msg) { go conn.Close() })
	must(t, err)
	js, err := jetstream.New(conn)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, _, err := partitionlog.New(conn, js, partition).Read(ctx, 1, 1); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("the read ends with %v", err)
	}
}

// A journal is read until it succeeds, or the caller does not wait any longer.
func TestReadOfAMissingStreamFails(t *testing.T) {
	conn := withoutJetStream(t)
	js, err := jetstream.New(conn)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, _, err := partitionlog.New(conn, js, partition).Read(ctx, 1, 1); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("the read ends with %v", err)
	}
}

// The answer of a stream's leader is lost when its server ends.
func TestWalkFailsWithoutLeader(t *testing.T) {
	t.Parallel() // it waits most of the time
	conn := withoutJetStream(t)
	_, err := conn.Subscribe("$JS.API.DIRECT.GET.>", func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}}})
	})
	must(t, err)
	_, err = conn.SubscribeSync("$JS.API.STREAM.MSG.GET.>")
	must(t, err)
	must(t, conn.Flush())
	js, err := jetstream.New(conn)
	must(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = partitionlog.New(conn, js, partition).Walk(ctx, 1, 3, func(messages.LoggedEntry) error { return nil },
		func(m partitionlog.Missing) error {
			t.Errorf("without an answer %+v counts as missing", m)
			return nil
		})
	if err == nil || ctx.Err() != nil {
		t.Errorf("the walk ends with %v, its context with %v", err, ctx.Err())
	}
}
