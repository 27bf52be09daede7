package clients

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/protocol"
)

func testHeadersComeBack(t *testing.T, f *fixture) {
	m := &nats.Msg{Subject: f.laneway.subject, Data: []byte("v"), Header: nats.Header{
		"Content-Type": {"text/plain"}, "several": {"one", "two"}, "lower-case": {"kept"}, "Empty": {""}, "Text": {"späť 🙂"},
	}}
	if _, err := newJetStream(t, f.conn).PublishMsg(f.ctx, m, jetstream.WithMsgID("id"), jetstream.WithExpectStream(f.laneway.stream)); err != nil {
		t.Fatal(err)
	}
	records := f.records(t)
	if len(records) != 1 {
		t.Fatalf("the topic has %d records", len(records))
	}
	got := records[0].Header
	for name, values := range m.Header {
		of := strings.HasPrefix(name, "Nats-") // what asked for something is done with
		if want := strings.Join(values, "|"); !of && strings.Join(got[name], "|") != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
		delete(got, name)
	}
	for name := range got {
		if !strings.HasPrefix(name, "Laneway-") {
			t.Errorf("%s: %q was not sent", name, got[name])
		}
	}
}

// refused are the headers by which JetStream is asked for what Laneway does not
// do, each with a value that JetStream understands.
var refused = map[string]string{
	"Nats-Rollup": "sub",
	"Nats-TTL":    "1h",
	"Nats-Incr":   "+1",

	"Nats-Expected-Last-Subject-Sequence":         "1",
	"Nats-Expected-Last-Subject-Sequence-Subject": "a.b",

	"Nats-Batch-Id":       "b1",
	"Nats-Batch-Sequence": "1",
	"Nats-Batch-Commit":   "1",

	"Nats-Schedule":           "@every 1h",
	"Nats-Schedule-Target":    "a.b",
	"Nats-Schedule-Source":    "a.c",
	"Nats-Schedule-TTL":       "1h",
	"Nats-Schedule-Rollup":    "sub",
	"Nats-Schedule-Time-Zone": "UTC",

	"Nats-Required-Api-Level": "4",
	"Nats-Trace-Only":         "true",
	"Nats-Something-New":      "1",
	"nats-ttl":                "1h", // in whatever case
	"Laneway-Something-New":   "1",
}

func testRefusedHeaders(t *testing.T, f *fixture) {
	answers, err := f.conn.SubscribeSync(f.conn.NewInbox() + ".>")
	if err != nil {
		t.Fatal(err)
	}
	inbox := strings.TrimSuffix(answers.Subject, ">")
	refuse := func(m *nats.Msg, name string) {
		t.Helper()
		m.Subject, m.Data = f.laneway.subject, []byte("must not come back")
		if err := f.conn.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		answer, err := answers.NextMsgWithContext(f.ctx)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var response struct{ Error *jetstream.APIError }
		if err := json.Unmarshal(answer.Data, &response); err != nil {
			t.Fatalf("%s: %v in %s", name, err, answer.Data)
		}
		e := response.Error
		if e == nil || e.Code != 400 || e.ErrorCode != jetstream.ErrorCode(protocol.CodeHeaderNotSupported) || !strings.Contains(e.Description, name) {
			t.Errorf("%s: %s", name, answer.Data)
		}
	}
	all := nats.Header{}
	for name, value := range refused {
		refuse(&nats.Msg{Reply: inbox + "1", Header: nats.Header{name: {value}}}, name)
		all.Set(name, value)
	}
	refuse(&nats.Msg{Reply: inbox + "1", Header: all}, "Nats-Batch-Id")
	refuse(&nats.Msg{Reply: inbox + "batch.500.ok.1.0.$FI"}, "fast batch") // asked for by the reply subject
	f.expectValues(t)
}

// added are headers that a NATS server puts on what others have sent, or
// changes there.
var added = nats.Header{
	"Nats-Request-Info":         {`{"acc":"A","rtt":1}`},
	"Nats-Trace-Dest":           {"trace disabled"},
	"Nats-Trace-Hop":            {"1"},
	"Nats-Trace-Origin-Account": {"A"},
}

func testServerHeaders(t *testing.T, f *fixture) {
	for name, values := range added {
		m := &nats.Msg{Subject: f.laneway.subject, Header: nats.Header{name: values}, Data: []byte(name)}
		if _, err := newJetStream(t, f.conn).PublishMsg(f.ctx, m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, r := range f.records(t) {
		if len(r.Header[r.Value]) > 0 {
			t.Errorf("%s came back: it is not the record's", r.Value)
		}
	}
	testRepublished(t, f)
}

// testRepublished lets a JetStream stream republish into the topic.
func testRepublished(t *testing.T, f *fixture) {
	js := newJetStream(t, f.conn)
	twin := f.twin(t)
	stream, err := js.Stream(f.ctx, twin.stream)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.RePublish = &jetstream.RePublish{Source: twin.subject, Destination: f.laneway.subject}
	if _, err := js.UpdateStream(f.ctx, config); err != nil {
		t.Fatal(err)
	}
	before := len(f.records(t))
	if _, err := js.Publish(f.ctx, twin.subject, []byte("republished")); err != nil {
		t.Fatal(err)
	}
	last := f.await(t, before+1)[before]
	if last.Value != "republished" || last.Header.Get("Nats-Stream") != twin.stream || last.Header.Get("Nats-Sequence") != "1" {
		t.Errorf("%q came with %v", last.Value, last.Header)
	}
}
