package transport_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/transport"
)

// TestWhatTheClientDropsIsCountedAndLoggedOnce covers subscriptions of every kind, also
// those that are not made by this package.
func TestWhatTheClientDropsIsCountedAndLoggedOnce(t *testing.T) {
	conn, _ := embeddedtest.Start(t)
	core, logged := observer.New(zap.WarnLevel)
	c := transport.NewConnection(conn, zap.New(core))
	entered, resume := make(chan struct{}, 1), make(chan struct{})
	callback, err := conn.Subscribe("callback", func(*nats.Msg) {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-resume
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := callback.SetPendingLimits(3, -1); err != nil {
		t.Fatal(err)
	}
	channel, err := conn.ChanSubscribe("channel", make(chan *nats.Msg, 2))
	if err != nil {
		t.Fatal(err)
	}
	send := func(subject string, times int) {
		t.Helper()
		for range times {
			if err := conn.Publish(subject, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	send("callback", 1)
	<-entered
	send("callback", 10) // two more have room: what is being handled counts
	send("channel", 10)  // two have room
	const want = 8 + 8
	deadline := time.Now().Add(time.Minute)
	for c.Dropped() < want && time.Now().Before(deadline) {
		if err := conn.Flush(); err != nil { // the error handler runs beside it
			t.Fatal(err)
		}
	}
	if got := c.Dropped(); got != want {
		t.Errorf("%d messages are counted, want %d", got, want)
	}
	if n := logged.Len(); n != 1 {
		t.Errorf("%d lines were logged, want 1: %v", n, logged.All())
	}
	close(resume)
	for _, sub := range []*nats.Subscription{callback, channel} {
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Dropped(); got != want {
		t.Errorf("%d messages are counted when the subscriptions have ended, want %d", got, want)
	}
}
