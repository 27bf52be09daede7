package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
)

// line is the network between a client and the server. It can be cut.
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

// overLine returns a client with its own line. lose cuts the line and returns when the
// client has noticed.
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

func TestDisconnectedProducerFailsAfterDeliveryTimeout(t *testing.T) {
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

func TestSendsAfterReconnect(t *testing.T) {
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

func TestErrorsNameUnreachableServer(t *testing.T) {
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
			!strings.Contains(err.Error(), "not connected to NATS at "+server.ClientURL()+"; trying to reconnect") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTimeoutWhileReconnectingSaysSo(t *testing.T) {
	setup(t, 1)
	c, _, lose := overLine(t, nats.ReconnectBufSize(1<<20)) // as a caller may choose
	lose()
	_, err := c.Admin().ListTopics(soon(t))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not connected to NATS at ") {
		t.Errorf("error %v", err)
	}
}

func TestErrorsContainNoPassword(t *testing.T) {
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

func TestRejectedCredentialsAreReported(t *testing.T) {
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
		t.Fatal("the connection is not closed")
	}
	if _, err := c.Admin().ListTopics(bounded(t)); !errors.Is(err, nats.ErrAuthorization) || !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func TestClosedClientReturnsErrClosed(t *testing.T) {
	owner, f := setup(t, 2)
	for name, c := range map[string]*client.Client{"its own connection": owner, "the caller's": client.New(f.conn)} {
		p := produce(t, c, f, client.ProducerOptions{})
		c.Close()
		if err := p.Close(bounded(t)); err != nil && !errors.Is(err, client.ErrClosed) {
			t.Error(err)
		}
		_, published := p.Publish(bounded(t), client.ProducerRecord{})
		_, produced := c.Producer(bounded(t), f.topic.Name, client.ProducerOptions{})
		_, listed := c.Admin().ListTopics(bounded(t))
		errs := map[string]error{"publish": published, "producer": produced, "list": listed, "delete": c.Admin().DeleteTopic(bounded(t), "x")}
		for what, partition := range map[string]*int32{"one partition": new(int32(0)), "all partitions": nil} {
			for _, err := range c.Consumer(client.ConsumerOptions{Topic: f.topic.Name, Partition: partition}).Records(bounded(t)) {
				errs[what] = err
			}
		}
		for what, err := range errs {
			if !errors.Is(err, client.ErrClosed) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if len(errs) != 6 {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func TestCloseKeepsCallersConnection(t *testing.T) {
	_, f := setup(t, 1)
	c := client.New(f.conn)
	c.Close()
	c.Close()
	if c.Conn() != f.conn || f.conn.IsClosed() {
		t.Error("the connection was closed")
	}
}

func TestResendsAfterLostConnection(t *testing.T) {
	c, f := setup(t, 1)
	f.receive(0)
	p := produce(t, c, f, client.ProducerOptions{AttemptTimeout: time.Hour})
	publish(t, p, "a")
	next(t, f.produced)
	if err := c.Conn().ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	again := next(t, f.produced)
	sent(t, again, 0, 0, "a")
	f.ack(again, 0)
	if err := p.Close(bounded(t)); err != nil {
		t.Fatal(err)
	}
}

func TestClosedConnectionEndsProducer(t *testing.T) {
	_, f := setup(t, 1)
	f.receive(0)
	conn := connect(t)
	p := produce(t, client.New(conn), f, client.ProducerOptions{})
	future := publish(t, p, "a")
	next(t, f.produced)
	conn.Close()
	if _, err := future.Wait(bounded(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("error %v", err)
	}
}
