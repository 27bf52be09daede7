package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/test/deployment"
)

// rawNATS is a connection to a NATS server without a client library, for what these
// refuse to send.
type rawNATS struct {
	t     *testing.T
	conn  net.Conn
	in    *bufio.Reader
	inbox string
}

func dialRaw(ctx context.Context, t *testing.T, d *deployment.Deployment) *rawNATS {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(d.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
	}
	r := &rawNATS{t: t, conn: conn, in: bufio.NewReader(conn), inbox: nats.NewInbox()}
	r.line() // INFO
	r.write("CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB " + r.inbox + " 1\r\n")
	return r
}

func (r *rawNATS) write(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r.conn, text); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rawNATS) line() string {
	r.t.Helper()
	line, err := r.in.ReadString('\n')
	if err != nil {
		r.t.Fatalf("%v after %q", err, line)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// publish sends a message with a header block as it is.
func (r *rawNATS) publish(subject, block, body string) {
	r.t.Helper()
	r.write(fmt.Sprintf("HPUB %s %s %d %d\r\n%s%s\r\n", subject, r.inbox, len(block), len(block)+len(body), block, body))
}

// receive returns the next message: its header block, its reply subject and its body.
func (r *rawNATS) receive() (block, reply, body string) {
	r.t.Helper()
	for {
		fields := strings.Fields(r.line())
		if len(fields) == 0 {
			continue
		}
		sizes := 0 // how many fields are sizes
		switch fields[0] {
		case "PING":
			r.write("PONG\r\n")
			continue
		case "INFO", "PONG", "+OK":
			continue
		case "MSG":
			sizes = 1
		case "HMSG":
			sizes = 2
		default:
			r.t.Fatalf("the server says %q", fields)
		}
		if args := fields[3 : len(fields)-sizes]; len(args) > 0 {
			reply = args[0]
		}
		total, header := r.number(fields[len(fields)-1]), 0
		if sizes == 2 {
			header = r.number(fields[len(fields)-2])
		}
		data := make([]byte, total+len("\r\n"))
		if _, err := io.ReadFull(r.in, data); err != nil {
			r.t.Fatal(err)
		}
		return string(data[:header]), reply, string(data[header:total])
	}
}

func (r *rawNATS) number(text string) int {
	r.t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// request sends a message and returns the body of its answer.
func (r *rawNATS) request(subject, block, body string) string {
	r.t.Helper()
	r.publish(subject, block, body)
	_, _, answer := r.receive()
	return answer
}
