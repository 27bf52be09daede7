package e2e

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

// large makes a topic with some MiB in it and returns its partition.
func (f *fixture) large(t *testing.T, megabytes int) protocol.Partition {
	t.Helper()
	p := f.CreateTopic(f.conn, "large").Partition(0)
	for range megabytes {
		m := &nats.Msg{
			Subject: p.ProduceSubject(), Data: largeBatch(1 << 20),
			Header: nats.Header{protocol.HeaderContentType: {protocol.ContentTypeBatch}},
		}
		if ack := f.request(within(t, time.Minute), t, m); ack.Error != nil {
			t.Fatal(ack.Error)
		}
	}
	return p
}

// deaf opens fetches over a connection of which it never reads a byte, and leaves
// when far more is on its way to it than its window and the network hold.
func (h *hostile) deaf(t *testing.T, p protocol.Partition, fetches int) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(h.URL(), "nats://"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w := bufio.NewWriter(conn)
	_, _ = fmt.Fprint(w, "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB deaf.inbox 1\r\n")
	for n := range fetches {
		body := `{"from":"earliest","max_bytes":67108864}`
		if n%2 == 0 {
			body = `{"from":"earliest","window_bytes":9223372036854775807,"follow":true}`
		}
		_, _ = fmt.Fprintf(w, "PUB %s deaf.inbox %d\r\n%s\r\n", p.FetchSubject(), len(body), body)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	far := func(v float64) bool { return v >= 200<<20 }
	h.AwaitMetric(h.ctx, deployment.Frontend, "laneway_frontend_fetch_bytes_total", far)
}

// cancelling opens fetches and cancels each as soon as it hears of it.
func (h *hostile) cancelling(t *testing.T, p protocol.Partition, fetches int) {
	t.Helper()
	for range fetches {
		cancelled := false
		h.t = t
		h.untilStatus(strings.TrimPrefix(p.FetchSubject(), protocol.FetchPrefix), `{"from":"earliest","window_bytes":1,"follow":true}`, func(m *nats.Msg) {
			if !cancelled {
				cancelled = true
				_ = h.conn.Publish(m.Reply, []byte(protocol.CancelFetch))
			}
		})
	}
}

func TestConsumersThatAbuseFetchesDisturbNobody(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		h := &hostile{fixture: f, t: t, ctx: ctx, conn: f.Connect()}
		p := f.large(t, 8)
		memory := f.memory(t)
		f.underLoad(ctx, t, func() map[string][]load.Batch {
			h.deaf(t, p, 100)
			h.cancelling(t, p, 300)
			f.bounded(t, memory)
			return f.probe(ctx, t, "after")
		})
	})
}
