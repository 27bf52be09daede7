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
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
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
