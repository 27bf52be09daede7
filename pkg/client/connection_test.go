package client_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
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
func overLine(t *testing.T) (c *client.Client, l *line, lose func()) {
	t.Helper()
	l = &line{}
	lost := make(chan struct{}, 1)
	c, err := client.Connect(server.ClientURL(), nats.SetCustomDialer(l),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }))
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
	if failed, ok := errors.AsType[*client.ProduceError](err); !ok || failed.FirstFailed != 0 || failed.Records != 1 {
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
	if err := p.Close(bounded(t)); err != nil || p.Summary().Retries != 0 {
		t.Errorf("%v, %+v", err, p.Summary())
	}
}
