package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// notConnectedError is what a request ended with while there was no connection.
type notConnectedError struct {
	servers string
	err     error
}

func (e *notConnectedError) Error() string {
	return fmt.Sprintf("not connected to NATS at %s; trying to reconnect", e.servers)
}

func (e *notConnectedError) Unwrap() error { return e.err }

// explain says of an error of the connection what it means.
func (c *Client) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case unsent(err), errors.Is(err, context.DeadlineExceeded) && c.conn.IsReconnecting():
		return &notConnectedError{c.servers(), err}
	case errors.Is(err, nats.ErrConnectionClosed) && c.refusal() != nil:
		return fmt.Errorf("%w: NATS at %s refuses the credentials: %w", ErrClosed, c.servers(), c.refusal())
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// refusal returns the last error of the connection if NATS refuses its credentials.
func (c *Client) refusal() error {
	err := c.conn.LastError()
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, refusal) {
			return err
		}
	}
	return nil
}

// unsent says whether there was no connection to send something by.
func unsent(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionReconnecting) ||
		errors.Is(err, nats.ErrDisconnected)
}

// isClosed says whether Close was called.
func (c *Client) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// servers returns the URLs that the connection was made with.
func (c *Client) servers() string {
	if len(c.conn.Opts.Servers) > 0 {
		return shown(strings.Join(c.conn.Opts.Servers, ","))
	}
	return shown(c.conn.Opts.Url)
}

// shown returns URLs, which are separated by commas, without users, passwords and
// tokens.
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
