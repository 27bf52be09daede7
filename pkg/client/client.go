package client

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrClosed is the error of what was going on when the client or the producer
// was closed, and of what is tried afterwards.
var ErrClosed = errors.New("laneway: closed")

// Client speaks with Laneway. It is safe for concurrent use.
type Client struct {
	conn   *nats.Conn
	owned  bool
	once   sync.Once
	closed chan struct{}
}

// Connect connects to the NATS servers of a Laneway deployment. The connection
// reconnects for ever and keeps nothing for later while it is broken, so that a
// batch is never sent at a time when nobody waits for its answer any more;
// opts come after these settings. Close ends it.
func Connect(url string, opts ...nats.Option) (*Client, error) {
	settings := append([]nats.Option{
		nats.Name("laneway client"),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
	}, opts...)
	conn, err := nats.Connect(url, settings...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", shown(url), err)
	}
	c := New(conn)
	c.owned = true
	return c, nil
}

// New returns a client that uses conn, which stays the caller's: Close does not
// close it.
func New(conn *nats.Conn) *Client {
	return &Client{conn: conn, closed: make(chan struct{})}
}

// Conn returns the NATS connection.
func (c *Client) Conn() *nats.Conn { return c.conn }

// Close ends all producers and fetches with ErrClosed, and the connection if
// Connect made it. What producers have gathered or in flight is not waited for:
// close them first. Close may be called more than once.
func (c *Client) Close() {
	c.once.Do(func() {
		close(c.closed)
		if c.owned {
			c.conn.Close()
		}
	})
}

// noResponders is the error for a request that nobody received.
func noResponders(subject string) error {
	return fmt.Errorf("nobody serves %s: is Laneway running, does it use this NATS server, and does the topic exist? %w",
		subject, nats.ErrNoResponders)
}

// unserved says whether a message is NATS' own answer for a request that nobody
// received, which has a status but no error of the catalogue.
func unserved(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header.Get("Status") == "503" && m.Header.Get("Laneway-Error") == ""
}
