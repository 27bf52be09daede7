package transport_test

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/protocol"
)

// rawPublisher publishes header blocks that no client library sends, and receives
// what the NATS client makes of them.
type rawPublisher struct {
	conn     net.Conn
	received chan *nats.Msg
}

func newRawPublisher(t *testing.T) *rawPublisher {
	t.Helper()
	server, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Shutdown() })
	conn, err := nats.Connect(server.ClientURL(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	received := make(chan *nats.Msg, 1)
	sub, err := conn.ChanSubscribe("raw", received)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", conn.ConnectedAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	if _, err := bufio.NewReader(raw).ReadString('\n'); err != nil { // INFO
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(raw, "CONNECT {\"verbose\":false,\"headers\":true}\r\n"); err != nil {
		t.Fatal(err)
	}
	return &rawPublisher{raw, received}
}

// publish returns the message as a service receives it.
func (p *rawPublisher) publish(t interface{ Fatal(...any) }, block, body string) *nats.Msg {
	if _, err := fmt.Fprintf(p.conn, "HPUB raw reply.to %d %d\r\n%s%s\r\n", len(block), len(block)+len(body), block, body); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-p.received:
		return m
	case <-time.After(time.Minute):
		t.Fatal("the message did not arrive")
		return nil
	}
}

func TestHeaderBlocksOfEveryClientAreRead(t *testing.T) {
	p := newRawPublisher(t)
	for name, c := range map[string]struct {
		block string
		want  nats.Header
	}{
		"no headers":                       {"NATS/1.0\r\n\r\n", nats.Header{}},
		"a blank behind the colon":         {"NATS/1.0\r\nA: b\r\nC: d\r\n\r\n", nats.Header{"A": {"b"}, "C": {"d"}}},
		"no blank behind the colon":        {"NATS/1.0\r\nA:b\r\nC:d\r\n\r\n", nats.Header{"A": {"b"}, "C": {"d"}}},
		"no value":                         {"NATS/1.0\r\nA:\r\nC: \r\nD: e\r\n\r\n", nats.Header{"A": {""}, "C": {""}, "D": {"e"}}},
		"a name several times":             {"NATS/1.0\r\nA: 1\r\na: 2\r\nA: 3\r\n\r\n", nats.Header{"A": {"1", "3"}, "a": {"2"}}},
		"blanks behind a value":            {"NATS/1.0\r\nA: b \t \r\n\r\n", nats.Header{"A": {"b"}}},
		"what a server put on it":          {"NATS/1.0\r\nA:b\r\nNats-Request-Info: {}\r\nNats-Stream: S\r\n\r\n", nats.Header{"A": {"b"}, "Nats-Request-Info": {"{}"}, "Nats-Stream": {"S"}}},
		"the same from one with blanks":    {"NATS/1.0\r\nA: b\r\nNats-Request-Info: {}\r\n\r\n", nats.Header{"A": {"b"}, "Nats-Request-Info": {"{}"}}},
		"a server's header sent as others": {"NATS/1.0\r\nA:b\r\nNats-Stream:S\r\n\r\n", nats.Header{"A": {"b"}, "Nats-Stream": {"S"}}},
		"colons and blanks in a value":     {"NATS/1.0\r\nA: b: c d\r\n\r\n", nats.Header{"A": {"b: c d"}}},
		"a value in no encoding":           {"NATS/1.0\r\nA: b\xff\r\n\r\n", nats.Header{"A": {"b\xff"}}},
		"headers that look like a status":  {"NATS/1.0\r\nStatus: 503\r\nDescription: d\r\n\r\n", nats.Header{"Status": {"503"}, "Description": {"d"}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, body := range []string{"", "body"} {
				m := p.publish(t, c.block, body)
				if err := transport.ReadHeader(m); err != nil {
					t.Fatal(err)
				}
				if !maps.EqualFunc(m.Header, c.want, slices.Equal) || string(m.Data) != body {
					t.Errorf("read %q with %q, want %q", m.Header, m.Data, c.want)
				}
			}
		})
	}
}

func TestIncompleteHeaderBlocksAreRejected(t *testing.T) {
	p := newRawPublisher(t)
	for name, block := range map[string]string{
		"a line without a colon":      "NATS/1.0\r\nNats-Msg-Id: 7\r\nbroken\r\n\r\n",
		"no blank line":               "NATS/1.0\r\nNats-Msg-Id: 7\r\n",
		"no line end":                 "NATS/1.0\r\nNats-Msg-Id: 7",
		"only the version":            "NATS/1.0\r\n",
		"a byte":                      "x",
		"another version":             "NATS/1.1\r\nNats-Msg-Id: 7\r\n\r\n",
		"a short status":              "NATS/1.0 5\r\nNats-Msg-Id: 7\r\n\r\n",
		"a status":                    "NATS/1.0 503\r\n\r\n",
		"a status with a description": "NATS/1.0 100 x\r\nA: b\r\n\r\n",
		"a status without a blank":    "NATS/1.0503\r\nA: b\r\n\r\n",
		"bytes behind the blank line": "NATS/1.0\r\nA: b\r\n\r\nNats-Msg-Id: 7\r\n\r\n",
		"one byte behind it":          "NATS/1.0\r\nA: b\r\n\r\nx",
		"a line without a name":       "NATS/1.0\r\nA: b\r\n: lost\r\n\r\n",
		"nothing but such a line":     "NATS/1.0\r\n:\r\n\r\n",
		"line feeds alone":            "NATS/1.0\nNats-Msg-Id: 7\n\n",
		"two blanks behind a colon":   "NATS/1.0\r\nA:  b\r\n\r\n",
		"some colons with a blank":    "NATS/1.0\r\nA: b\r\nC:d\r\n\r\n",
		"a continued value":           "NATS/1.0\r\nA: b\r\n c: d\r\n\r\n",
		"a blank before the colon":    "NATS/1.0\r\nNats-Msg-Id : 7\r\n\r\n",
		"a carriage return":           "NATS/1.0\r\nA: b\rc\r\n\r\n",
		"a carriage return too many":  "NATS/1.0\r\nA: b\r\r\n\r\n",
		"a name with a slash":         "NATS/1.0\r\nX-Trace/Id: 1\r\n\r\n",
		"a name in no encoding":       "NATS/1.0\r\nX\xff: 1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, body := range []string{"", "body"} {
				m := p.publish(t, block, body)
				if err := transport.ReadHeader(m); err == nil || err.Code != protocol.CodeHeaderInvalid {
					t.Errorf("error %v with the headers %q, want HEADER_INVALID", err, m.Header)
				}
			}
		})
	}
}

// Of lines that end in CR LF with a blank behind each colon, what is accepted is
// all that a strict reader of the block finds.
func TestAcceptedHeadersAreAllThatTheBlockHas(t *testing.T) {
	p := newRawPublisher(t)
	line := rapid.OneOf(
		rapid.StringMatching(`[A-Za-z-]{1,8}: [a-z0-9:]{1,5} ?\r\n`),
		rapid.SampledFrom([]string{"\r\n", ":\r\n", ": b\r\n", "A\r\n", " A: b\r\n", "A : b\r\n", "A:  b\r\n", "A: b\r\r\n"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		block := rapid.SampledFrom([]string{"NATS/1.0\r\n", "NATS/1.0\r\n", "NATS/1.0\r\n", "NATS/1.1\r\n", "\r\n"}).Draw(t, "first") +
			strings.Join(rapid.SliceOfN(line, 0, 4).Draw(t, "lines"), "") +
			rapid.SampledFrom([]string{"\r\n", "\r\n", "\r\n", "", "x"}).Draw(t, "last")
		m := p.publish(t, block, "body")
		want, whole := strict(block)
		if err := transport.ReadHeader(m); (err == nil) != whole || whole && !maps.EqualFunc(m.Header, want, slices.Equal) {
			t.Fatalf("%q is read as %q, %v; want %q", block, m.Header, err, want)
		}
	})
}

// strict reads a header block exactly as specified; false if the block must be rejected.
func strict(block string) (nats.Header, bool) {
	header := nats.Header{}
	lines := strings.Split(block, "\r\n")
	n := len(lines)
	if n < 3 || lines[0] != "NATS/1.0" || lines[n-1] != "" || lines[n-2] != "" {
		return nil, false
	}
	for _, line := range lines[1 : n-2] {
		name, value, found := strings.Cut(line, ": ")
		value = strings.TrimRight(value, " ")
		if !found || strings.ContainsAny(name, " :") || protocol.CheckHeader(name, value) != nil {
			return nil, false
		}
		header[name] = append(header[name], value)
	}
	return header, true
}
