package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/embedded"
	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/pkg/protocol"
)

const patience = 15 * time.Second

// rig is a server with one endpoint, whose handler the test gives.
type rig struct {
	t      *testing.T
	conn   *nats.Conn
	server *Server
	failed chan protocol.Code
}

func start(t *testing.T, handle Handler) *rig {
	t.Helper()
	conn, _ := embeddedtest.Start(t)
	return startOn(t, conn, handle)
}

func startOn(t *testing.T, conn *nats.Conn, handle Handler) *rig {
	t.Helper()
	r := &rig{t: t, conn: conn, failed: make(chan protocol.Code, 10)}
	var err error
	r.server, err = NewServer(conn, zap.NewNop(), func(kind Kind, code protocol.Code) {
		if kind != Topics {
			t.Errorf("an error of %s is counted", kind)
		}
		r.failed <- code
	})
	if err == nil {
		err = r.server.Endpoint("api.test", Topics, func(m *nats.Msg) { r.server.Serve(m, Topics, handle) })
	}
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// request returns the error of an answer, and its text.
func (r *rig) request(m *nats.Msg) (*protocol.Error, string) {
	r.t.Helper()
	m.Subject = "api.test"
	answer, err := r.conn.RequestMsg(m, patience)
	if err != nil {
		r.t.Fatal(err)
	}
	var response protocol.ErrorResponse
	if err := json.Unmarshal(answer.Data, &response); err != nil {
		r.t.Fatalf("answer %s: %v", answer.Data, err)
	}
	return response.Error, string(answer.Data)
}

func TestRequestIsAnsweredByItsHandler(t *testing.T) {
	r := start(t, func(ctx context.Context, body []byte) (any, error) {
		if deadline, bounded := ctx.Deadline(); !bounded || time.Until(deadline) > Timeout {
			t.Errorf("deadline %v", deadline)
		}
		return map[string]string{"got": string(body)}, nil
	})
	if err, text := r.request(&nats.Msg{Data: []byte("hello")}); err != nil || text != `{"got":"hello"}` {
		t.Fatalf("answer %s, %v", text, err)
	}
	if err := r.server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.conn.Request("api.test", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("after the end: %v", err)
	}
}

func TestErrorsAreAnsweredAndCounted(t *testing.T) {
	const large = "large answer"
	r := start(t, func(_ context.Context, body []byte) (any, error) {
		if string(body) == large {
			return strings.Repeat("x", 9<<20), nil
		}
		return nil, protocol.NewError(protocol.CodeUnknownTopic, string(body))
	})
	for name, c := range map[string]struct {
		request nats.Msg
		want    protocol.Code
		counted bool
	}{
		"of the handler":  {nats.Msg{Data: []byte("orders")}, protocol.CodeUnknownTopic, true},
		"a large request": {nats.Msg{Data: make([]byte, protocol.MaxAPIRequest+1)}, protocol.CodeInvalidRequest, true},
		"a large answer":  {nats.Msg{Data: []byte(large)}, protocol.CodeInvalidRequest, false},
	} {
		if err, text := r.request(&c.request); err == nil || err.Code != c.want {
			t.Errorf("%s: %s", name, text)
		}
		if c.counted {
			if code := <-r.failed; code != c.want {
				t.Errorf("%s: %d is counted", name, code)
			}
		}
	}
}

// TestMalformedHeaderBlockIsRefused sends a block that no client library sends.
func TestMalformedHeaderBlockIsRefused(t *testing.T) {
	server, err := embedded.Start(embedded.Options{Listen: "127.0.0.1:0", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Shutdown() }()
	conn, err := nats.Connect(server.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := startOn(t, conn, func(context.Context, []byte) (any, error) { t.Error("it is served"); return nil, nil })
	answers, err := conn.SubscribeSync(nats.NewInbox())
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", conn.ConnectedAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	const block = "NATS/1.0\r\nbroken\r\n\r\n"
	if _, err := fmt.Fprintf(raw, "CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB api.test %s %d %d\r\n%s\r\n", answers.Subject, len(block), len(block), block); err != nil {
		t.Fatal(err)
	}
	answer, err := answers.NextMsg(patience)
	if err != nil || !strings.Contains(string(answer.Data), "HEADER_INVALID") {
		t.Fatalf("answer %v, %v", answer, err)
	}
	if code := <-r.failed; code != protocol.CodeHeaderInvalid {
		t.Errorf("%d is counted", code)
	}
}

func TestReplySubjectOfAServiceGetsNoAnswer(t *testing.T) {
	r := start(t, func(context.Context, []byte) (any, error) { t.Error("it is served"); return nil, nil })
	answers, err := r.conn.SubscribeSync("_laneway.>")
	if err == nil {
		err = r.conn.PublishRequest("api.test", "_laneway.stage", []byte("{}"))
	}
	if err == nil {
		err = r.server.Stop()
	}
	if err == nil {
		err = r.conn.Drain()
	}
	if err != nil {
		t.Fatal(err)
	}
	if n, _, _ := answers.Pending(); n != 0 {
		t.Errorf("%d answers", n)
	}
}

func TestDecodeRefusesWhatWouldNotBeDone(t *testing.T) {
	for body, valid := range map[string]bool{
		`{"name":"orders"}`: true, "{\"name\":\"orders\"}\n": true, `{"nome":"orders"}`: false, `{"name":"orders"}{}`: false, `{`: false, ``: false,
	} {
		var request protocol.TopicRequest
		err := Decode([]byte(body), &request)
		if (err == nil) != valid || err != nil && protocol.AsError(err).Code != protocol.CodeInvalidRequest {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"orders","partitions":3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var config protocol.TopicConfig
		if err := Decode(data, &config); err != nil && protocol.AsError(err).Code != protocol.CodeInvalidRequest {
			t.Fatalf("refused with %v", err)
		}
	})
}
