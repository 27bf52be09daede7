package e2e

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// protocolBlock returns the first code block of a language in docs/protocol.md.
func protocolBlock(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatalf("docs/protocol.md has no block of %s", language)
	}
	return string(m[1])
}

// socket is a NATS client of its own: it writes the bytes that the protocol shows.
type socket struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, address string) *socket {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &socket{t, conn, bufio.NewReader(conn)}
}

func (s *socket) write(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.conn, text); err != nil {
		s.t.Fatal(err)
	}
}

// message returns the body of the next message.
func (s *socket) message() []byte {
	s.t.Helper()
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		var subject string
		var id, size int
		if n, _ := fmt.Sscanf(line, "MSG %s %d %d", &subject, &id, &size); n != 3 {
			continue
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(s.in, body); err != nil {
			s.t.Fatal(err)
		}
		return body
	}
}

func TestBytesInProtocolAreAcknowledged(t *testing.T) {
	t.Parallel() // it waits most of the time
	f := start(t, deployment.OneProcess, deployment.Options{})
	frame, err := hex.DecodeString(strings.Join(strings.Fields(protocolBlock(t, "hex")), ""))
	if err != nil {
		t.Fatal(err)
	}
	request := strings.ReplaceAll(protocolBlock(t, "nats"), "\n", "\r\n")
	request = strings.Replace(request, "<frame>", string(frame), 1)
	s := dial(t, strings.TrimPrefix(f.URL(), "nats://"))
	s.write(`CONNECT {"headers":true,"verbose":false}` + "\r\nSUB _INBOX.feed.* 1\r\n")
	for n, duplicate := range []bool{false, true} {
		s.write(request)
		var ack protocol.ProduceAck
		if err := json.Unmarshal(s.message(), &ack); err != nil {
			t.Fatal(err)
		}
		if ack.Error != nil || ack.Offset != 0 || ack.Records != 2 || ack.Duplicate != duplicate || ack.Ticket != uint64(n)+1 {
			t.Errorf("acknowledgement %d: %+v", n, ack)
		}
	}
}
