package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// line is the way of a client to the server, which can be cut.
type line struct {
	mu    sync.Mutex
	isCut bool
	conns []net.Conn
}

// Dial implements nats.CustomDialer.
func (l *line) Dial(network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return nil, errors.New("the line is cut")
	}
	conn, err := net.Dial(network, address)
	if err == nil {
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for _, conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}

// overLine returns a client over a line of its own. lose cuts it and returns when
// the client knows.
func overLine(t *testing.T, opts ...nats.Option) (c *client.Client, l *line, lose func()) {
	t.Helper()
	l = &line{}
	lost := make(chan struct{}, 1)
	c, err := client.Connect(server.ClientURL(), append(opts, nats.SetCustomDialer(l),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, l, func() { l.cut(); next(t, lost) }
}

func TestWhatIsPublishedWithoutAConnectionFailsAfterTheDeliveryTimeout(t *testing.T) {
	_, f := setup(t, 2)
	c, _, lose := overLine(t)
	p := produce(t, c, f, client.ProducerOptions{DeliveryTimeout: 300 * time.Millisecond})
	lose()
	future := publish(t, p, "a")
	_, err := future.Wait(bounded(t))
	failed, ok := errors.AsType[*client.ProduceError](err)
	if !ok || failed.Records != 1 || !failed.Absent || failed.Err.Code != protocol.CodeUnavailable ||
		!strings.HasSuffix(failed.Err.Detail, "; not connected to NATS at "+server.ClientURL()) {
		t.Fatalf("error %v", err)
	}
	if again := p.Close(bounded(t)); !errors.Is(again, err) {
		t.Errorf("closed with %v", again)
	}
}

func TestWhatIsPublishedWithoutAConnectionIsSentByTheNext(t *testing.T) {
	_, f := setup(t, 1)
	f.receive(0)
	c, l, lose := overLine(t)
	p := produce(t, c, f, client.ProducerOptions{})
	lose()
	publish(t, p, "a")
	l.mend()
	m := next(t, f.produced)
	sent(t, m, 0, 0, "a")
	f.ack(m, 0)
	if err := p.Close(bounded(t)); err != nil {
		t.Error(err)
	}
}

func TestWithoutAConnectionErrorsSaySoAndNameTheServer(t *testing.T) {
	_, f := setup(t, 1)
	c, _, lose := overLine(t)
	lose()
	_, listed := c.Admin().ListTopics(bounded(t))
	produced := startInVain(t, c, f.topic.Name, nats.ErrReconnectBufExceeded)
	var consumed error
	reader := c.Consumer(client.ConsumerOptions{Topic: f.topic.Name, Partition: new(int32(0)), Retries: 1})
	for _, err := range reader.Records(bounded(t)) {
		consumed = err
	}
	for what, err := range map[string]error{"list": listed, "produce": produced, "consume": consumed} {
		if !errors.Is(err, nats.ErrReconnectBufExceeded) ||
			!strings.HasSuffix(err.Error(), "not connected to NATS at "+server.ClientURL()+"; trying to reconnect") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestARequestThatWaitsForAConnectionInVainSaysSo(t *testing.T) {
	setup(t, 1)
	c, _, lose := overLine(t, nats.ReconnectBufSize(1<<20)) // as that of a caller may be
	lose()
	_, err := c.Admin().ListTopics(soon(t))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not connected to NATS at ") {
		t.Errorf("error %v", err)
	}
}

func TestConnectNamesTheServerButNoPassword(t *testing.T) {
	for url, want := range map[string]string{
		"nats://127.0.0.1:1":             "connect to NATS at nats://127.0.0.1:1: ",
		"nats://user:secret@127.0.0.1:1": "connect to NATS at nats://127.0.0.1:1: ",
		"secret@127.0.0.1:1,127.0.0.1:2": "connect to NATS at 127.0.0.1:1,127.0.0.1:2: ",
	} {
		c, err := client.Connect(url)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, nats.ErrNoServers) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
