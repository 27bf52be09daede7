package cloud

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const (
	idlePerHost     = 64 // as many requests as run at once under load, so that each finds a connection
	dialTimeout     = 5 * time.Second
	tlsTimeout      = 10 * time.Second
	responseTimeout = 30 * time.Second // from the end of the request to the header of the response
	answerTime      = 30 * time.Second // of the whole response, for a marker or a page of a list
	idleTimeout     = 90 * time.Second
	bufferSize      = 64 << 10 // of a connection, in bytes
)

// newTransport returns the connections of one store. A context bounds the whole request; the
// limits here find a server that is gone before that. With HTTP/1.1 each request has its own
// connection, and a loss of packets delays one request only.
func newTransport(trust *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       trust,
		TLSHandshakeTimeout:   tlsTimeout,
		MaxIdleConnsPerHost:   idlePerHost,
		IdleConnTimeout:       idleTimeout,
		ResponseHeaderTimeout: responseTimeout,
		DisableCompression:    true, // a compressed body has another length than the range
		WriteBufferSize:       bufferSize,
		ReadBufferSize:        bufferSize,
	}
}

// newClient returns a client that does not follow redirects: a bucket of another region is an
// error that names the cause.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
