package clients

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

func testAcks(t *testing.T, f *fixture) {
	var want []string
	for n, p := range publishers {
		value := fmt.Sprintf("by %s", p.name)
		want = append(want, value)
		m := &nats.Msg{Subject: f.laneway.subject, Data: []byte(value)}
		got, err := p.publish(f.ctx, f.conn, m, options{stream: f.laneway.stream})
		if expected := (ack{f.laneway.stream, uint64(n) + 1, false}); err != nil || got != expected {
			t.Errorf("%s: %+v, %v; want %+v", p.name, got, err, expected)
		}
	}
	raw := f.request(t, &nats.Msg{Subject: f.laneway.subject, Data: []byte("raw")})
	for name, value := range map[string]any{
		"stream": f.laneway.stream, "seq": float64(len(publishers) + 1), "topic": f.partition.Topic,
		"partition": 0.0, "offset": float64(len(publishers)), "records": 1.0,
	} {
		if raw[name] != value {
			t.Errorf("%s is %v, want %v", name, raw[name], value)
		}
	}
	if ticket, ok := raw["ticket"].(float64); !ok || ticket < 1 {
		t.Errorf("ticket is %v", raw["ticket"])
	}
	f.expectValues(t, append(want, "raw")...)
}

// request makes a plain request and returns the fields of the answer.
func (f *fixture) request(t *testing.T, m *nats.Msg) map[string]any {
	t.Helper()
	answer, err := f.conn.RequestMsgWithContext(f.ctx, m)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(answer.Data, &fields); err != nil {
		t.Fatalf("%v in %s", err, answer.Data)
	}
	return fields
}

func testDuplicates(t *testing.T, f *fixture) {
	for n, p := range publishers {
		for _, repeated := range []bool{false, true} {
			m := &nats.Msg{Subject: f.laneway.subject, Data: fmt.Appendf(nil, "%s %v", p.name, repeated)}
			got, err := p.publish(f.ctx, f.conn, m, options{id: p.name})
			if want := (ack{f.laneway.stream, uint64(n) + 1, repeated}); err != nil || got != want {
				t.Errorf("%s: %+v, %v; want %+v", p.name, got, err, want)
			}
		}
	}
	again := &nats.Msg{Subject: f.laneway.subject, Header: nats.Header{"Nats-Msg-Id": {publishers[1].name}}}
	if raw := f.request(t, again); raw["duplicate"] != true || raw["seq"] != 2.0 || raw["offset"] != 1.0 {
		t.Errorf("a repetition is answered with %v", raw)
	}
	if n := len(f.records(t)); n != len(publishers) {
		t.Errorf("the topic has %d records, want %d", n, len(publishers))
	}
}
