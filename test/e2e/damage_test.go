package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
	"laneway.dev/test/load"
)

// objectOf returns the file of the object that holds the only batch of a topic.
func (h *hostile) objectOf(p protocol.Partition) string {
	h.t.Helper()
	entries, err := history.Entries(h.ctx, h.conn, p)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		for _, b := range e.Entry.Batches {
			return filepath.Join(h.Objects(), filepath.FromSlash(b.Extent.Key))
		}
	}
	h.t.Fatalf("the log of %s has no batch", p)
	return ""
}

func alter(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content[bytes.Index(content, []byte("precious"))] ^= 1
	return os.WriteFile(path, content, 0o600)
}

func TestDamagedObjectsAreReportedAndDisturbNobody(t *testing.T) {
	damages := map[string]func(path string) error{
		"altered":   alter,
		"truncated": func(path string) error { return os.Truncate(path, 40) },
		"emptied":   func(path string) error { return os.Truncate(path, 0) },
		"missing":   os.Remove,
		"a-folder": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		},
	}
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, time.Minute)
		f := start(t, kind, deployment.Options{})
		h := &hostile{fixture: f, t: t, ctx: ctx, conn: f.Connect()}
		for topic, damage := range damages {
			p := f.CreateTopic(f.conn, topic).Partition(0)
			// One after the other, so that each batch has an object of its own; too large to be inline.
			if ack := f.request(ctx, t, &nats.Msg{Subject: p.ProduceSubject(), Data: []byte(load.Pad("precious", 20<<10))}); ack.Error != nil {
				t.Fatal(ack.Error)
			}
			if err := damage(h.objectOf(p)); err != nil {
				t.Fatal(err)
			}
		}
		f.forget(ctx) // what it has in memory is not damaged
		memory := f.memory(t)
		f.underLoad(ctx, t, func() map[string][]load.Batch {
			for topic := range damages {
				h.damaged(t, topic)
			}
			f.bounded(t, memory)
			return f.probe(ctx, t, "after")
		})
	})
}

// damaged fetches the only batch of a topic, whose object is damaged.
func (h *hostile) damaged(t *testing.T, topic string) {
	t.Helper()
	for _, body := range []string{`{"from":"earliest"}`, `{"from":"earliest","follow":true,"window_bytes":1000}`} {
		before := h.labelled(`laneway_frontend_errors_total{error="CORRUPT",`, `request="fetch"`)
		var shown []string
		code := h.untilStatus(topic+".0", body, func(m *nats.Msg) { shown = append(shown, string(m.Data)) })
		if code != protocol.CodeCorrupt || strings.Join(shown, "") != "" {
			t.Errorf("%s: %s, with %q; want CORRUPT and no data", topic, code.Kind().Name, shown)
		}
		if after := h.labelled(`laneway_frontend_errors_total{error="CORRUPT",`, `request="fetch"`); after <= before {
			t.Errorf("%s: %v errors are counted, %v before", topic, after, before)
		}
	}
}
