package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// ErrClosed is the error of an operation that was interrupted by closing the
// client, the producer or the NATS connection, and of every operation after
// that.
var ErrClosed = errors.New("laneway: closed")

// Client is a connection to a Laneway deployment. It is safe for concurrent use.
type Client struct {
	conn   *nats.Conn
	owned  bool          // Close closes conn
	once   sync.Once     // Close
	closed chan struct{} // closed by Close
}

// Connect connects to the NATS servers of a Laneway deployment. url is a NATS
// URL, or several separated by commas. Close closes the connection.
//
// The connection reconnects forever, with pauses of 100 to 200 ms. It buffers
// nothing while it is disconnected: a producer sends its batches again itself,
// and a buffered batch could arrive after its attempt has timed out. opts are
// applied after these settings and may override them.
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

// New returns a client that uses conn. The caller keeps the ownership of conn:
// Close does not close it.
func New(conn *nats.Conn) *Client {
	return &Client{conn: conn, closed: make(chan struct{})}
}

// Conn returns the NATS connection.
func (c *Client) Conn() *nats.Conn { return c.conn }

// Close ends all producers and all reading of consumers with ErrClosed. It also
// closes the connection if Connect opened it. It does not wait for records that
// are not acknowledged, so close producers first. Close may be called more than
// once.
func (c *Client) Close() {
	c.once.Do(func() {
		close(c.closed)
		if c.owned {
			c.conn.Close()
		}
	})
}

// isClosed reports whether Close was called.
func (c *Client) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// notConnectedError is the error of a request that failed because there was no
// connection.
type notConnectedError struct {
	servers string
	err     error
}

func (e *notConnectedError) Error() string {
	return fmt.Sprintf("not connected to NATS at %s; trying to reconnect", e.servers)
}

func (e *notConnectedError) Unwrap() error { return e.err }

// explain returns an error of the connection with its likely cause. nats.go
// reports a timeout while it reconnects, and that the connection is closed when
// the credentials were rejected; neither says what to do.
func (c *Client) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case unsent(err), errors.Is(err, context.DeadlineExceeded) && c.conn.IsReconnecting():
		return &notConnectedError{c.servers(), err}
	case errors.Is(err, nats.ErrConnectionClosed) && c.refusal() != nil:
		return fmt.Errorf("%w: NATS at %s rejected the credentials: %w", ErrClosed, c.servers(), c.refusal())
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// refusal returns the last error of the connection if NATS has rejected its
// credentials, or nil.
func (c *Client) refusal() error {
	err := c.conn.LastError()
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, refusal) {
			return err
		}
	}
	return nil
}

// unsent reports whether a message was surely not sent, because there was no
// connection.
func unsent(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionReconnecting) ||
		errors.Is(err, nats.ErrDisconnected)
}

// noResponders is the error of a fetch request without a receiver.
func noResponders(subject string) error {
	return fmt.Errorf("no service answers on %s: is Laneway running, does it use this NATS server, and does the topic exist? %w",
		subject, nats.ErrNoResponders)
}

// unserved reports whether a message is NATS' own answer to a request without a
// receiver. It has the status 503, as some of Laneway's errors have, but no error
// of the catalogue.
func unserved(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header.Get("Status") == "503" && m.Header.Get(protocol.HeaderError) == ""
}

// servers returns the URLs that the connection was opened with, for messages.
func (c *Client) servers() string {
	if len(c.conn.Opts.Servers) > 0 {
		return shown(strings.Join(c.conn.Opts.Servers, ","))
	}
	return shown(c.conn.Opts.Url)
}

// shown returns URLs without users, passwords and tokens, so that error messages
// contain no secrets. servers are separated by commas.
func shown(servers string) string {
	urls := strings.Split(servers, ",")
	for i, server := range urls {
		server = strings.TrimSpace(server)
		if server == "" {
			server = nats.DefaultURL
		}
		if at := strings.LastIndexByte(server, '@'); at >= 0 {
			scheme, _, found := strings.Cut(server[:at], "://")
			if server = server[at+1:]; found {
				server = scheme + "://" + server
			}
		}
		urls[i] = server
	}
	return strings.Join(urls, ",")
}
