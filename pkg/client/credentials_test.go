package client_test

import (
	"errors"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
)

func TestConnectionThatEndsForItsCredentialsSaysSo(t *testing.T) {
	options := &natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true, Username: "alice", Password: "first",
	}
	s, err := natsserver.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	closed := make(chan struct{})
	c, err := client.Connect(s.ClientURL(), nats.UserInfo("alice", "first"),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	changed := options.Clone()
	changed.Password = "second"
	if err := s.ReloadOptions(changed); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Fatal("the connection does not end")
	}
	if _, err := c.Admin().ListTopics(bounded(t)); !errors.Is(err, nats.ErrAuthorization) || !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}
}
