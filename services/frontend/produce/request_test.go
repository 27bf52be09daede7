package produce

import (
	"bytes"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/telemetry"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/core"
)

var testTopic = protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders", Partitions: 1, MaxRecordBytes: 100}, ID: 7}

func parseForTest(m *nats.Msg) (core.Produce, *protocol.Error) {
	if err := transport.ReadHeader(m); err != nil {
		return core.Produce{}, err
	}
	return parse(m, testTopic, "LANEWAY-orders-0", 8<<20, func() string { return "1" })
}

func TestTheLaneOfARequest(t *testing.T) {
	long := strings.Repeat("x", 300)
	tests := []struct {
		name   string
		reply  string
		header nats.Header
		want   string
	}{
		{"the producer that is named", "_INBOX.a.b", nats.Header{"Laneway-Producer": {"me"}}, "p:me"},
		{"the client that the server names", "_R_.x.y", nats.Header{"Nats-Request-Info": {`{"acc":"A","id":7,"kind":"Client","server":"S","start":"T"}`}}, "c:A/S/7/T"},
		{"a request info without a client", "_R_.x.y", nats.Header{"Nats-Request-Info": {`{"acc":"A"}`}}, "o:1"},
		{"a request info that is not JSON", "_INBOX.a.b", nats.Header{"Nats-Request-Info": {`{`}}, "r:_INBOX.a"},
		{"the connection's inbox", "_INBOX.conn.token", nil, "r:_INBOX.conn"},
		{"a custom inbox prefix", "my.inbox.conn.token", nil, "r:my.inbox.conn"},
		{"an old-style inbox", "_INBOX.nuid", nil, "o:1"},
		{"an account import", "_R_.abc.def.ghi", nil, "o:1"},
		{"a leaf node that the server names", "_R_.x.y", nats.Header{"Nats-Request-Info": {`{"acc":"A","id":7,"kind":"Leafnode","server":"S","start":"T"}`}}, "o:1"},
		{"no reply", "", nil, "o:1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := parseForTest(&nats.Msg{Reply: test.reply, Header: test.header})
			if err != nil || p.Lane != test.want {
				t.Fatalf("lane %q, error %v; want %q", p.Lane, err, test.want)
			}
		})
	}
	t.Run("a long inbox is hashed, not cut", func(t *testing.T) {
		a, _ := parseForTest(&nats.Msg{Reply: "_INBOX." + long + "a.t"})
		b, _ := parseForTest(&nats.Msg{Reply: "_INBOX." + long + "b.t"})
		if a.Lane == b.Lane || len(a.Lane) > maxLane {
			t.Fatalf("lanes %q and %q", a.Lane, b.Lane)
		}
	})
}

// claiming returns a frame of one record with a header.
func claiming(name, value string) []byte {
	return protocol.EncodeRecord(protocol.Record{Headers: []protocol.Header{{Name: name, Value: value}}})
}

func TestFrameMayHaveExpectationsAndTrace(t *testing.T) {
	header := sequenced("Content-Type", protocol.ContentTypeBatch, "Nats-Expected-Stream", "LANEWAY-orders-0")
	for _, name := range []string{"traceparent", "tracestate", "Nats-Request-Info", "Nats-Trace-Hop"} {
		header[name] = []string{"1"}
	}
	if p, err := parseForTest(&nats.Msg{Header: header, Data: claiming("a", "b")}); err != nil || p.Records != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	var empty, good protocol.FrameBuilder
	good.Append(protocol.Record{Value: bytes.Repeat([]byte("x"), 101)})
	batch := nats.Header{"Content-Type": {protocol.ContentTypeBatch}}
	fine := claiming("a", "b")
	tests := []struct {
		name string
		msg  nats.Msg
		want protocol.Code
	}{
		{"a rollup", nats.Msg{Header: nats.Header{"Nats-Rollup": {"sub"}}}, protocol.CodeHeaderNotSupported},
		{"an expected last sequence of a subject", nats.Msg{Header: nats.Header{"Nats-Expected-Last-Subject-Sequence": {"1"}}}, protocol.CodeHeaderNotSupported},
		{"an expected last sequence that is none", nats.Msg{Header: nats.Header{"Nats-Expected-Last-Sequence": {"-1"}}}, protocol.CodeHeaderInvalid},
		{"a long expected message id", nats.Msg{Header: nats.Header{"Nats-Expected-Last-Msg-Id": {strings.Repeat("x", 1025)}}}, protocol.CodeHeaderInvalid},
		{"a header in another case", nats.Msg{Header: nats.Header{"nats-ttl": {"1s"}}}, protocol.CodeHeaderNotSupported},
		{"a fast batch", nats.Msg{Reply: "_INBOX.a.b.500.ok.1.0.$FI"}, protocol.CodeHeaderNotSupported},
		{"a fast batch across an account import", nats.Msg{Reply: "_R_.a", Header: nats.Header{"Nats-Request-Info": {`{"acc":"A","reply":"_INBOX.a.b.500.ok.1.0.$FI"}`}}}, protocol.CodeHeaderNotSupported},
		{"another stream", nats.Msg{Header: nats.Header{"Nats-Expected-Stream": {"ORDERS"}}}, protocol.CodeStreamMismatch},
		{"a long producer name", nats.Msg{Header: nats.Header{"Laneway-Producer": {strings.Repeat("x", 257)}}}, protocol.CodeHeaderInvalid},
		{"a header name with a space", nats.Msg{Header: nats.Header{"a b": {"v"}}}, protocol.CodeHeaderInvalid},
		{"a line break in a header", nats.Msg{Header: nats.Header{"A": {"v\nB: w"}}}, protocol.CodeHeaderInvalid},
		{"a long message id", nats.Msg{Header: nats.Header{"Nats-Msg-Id": {strings.Repeat("x", 1025)}}}, protocol.CodeHeaderInvalid},
		{"a large record", nats.Msg{Data: bytes.Repeat([]byte("x"), 101)}, protocol.CodeMessageTooLarge},
		{"a large record by its headers", nats.Msg{Header: nats.Header{"A": {strings.Repeat("x", 100)}}}, protocol.CodeMessageTooLarge},
		{"a large record in a frame", nats.Msg{Header: batch, Data: good.Bytes()}, protocol.CodeMessageTooLarge},
		{"an empty body as a frame", nats.Msg{Header: batch, Data: empty.Bytes()}, protocol.CodeMalformedBatch},
		{"a frame without records", nats.Msg{Header: batch, Data: []byte{0x92, 1, 0x90}}, protocol.CodeEmptyBatch},
		{"a compressed frame without records", nats.Msg{Header: batch, Data: []byte{0x95, 2, 0xa2, 's', '2', 0, 3, 0xc4, 0}}, protocol.CodeEmptyBatch},
		{"a frame of an unknown codec", nats.Msg{Header: batch, Data: []byte{0x95, 2, 0xa2, 's', '3', 1, 3, 0xc4, 0}}, protocol.CodeMalformedBatch},
		{"a name that NATS cannot carry", nats.Msg{Header: nats.Header{"A/B": {"v"}}}, protocol.CodeHeaderInvalid},
		{"a message id twice", nats.Msg{Header: nats.Header{"Nats-Msg-Id": {"1", "2"}}}, protocol.CodeHeaderInvalid},
		{"an empty message id", nats.Msg{Header: nats.Header{"Nats-Msg-Id": {""}}}, protocol.CodeHeaderInvalid},
		{"an empty expectation", nats.Msg{Header: nats.Header{"Nats-Expected-Last-Sequence": {""}}}, protocol.CodeHeaderInvalid},
		{"an empty expectation before another", nats.Msg{Header: nats.Header{"Nats-Expected-Stream": {"", "X"}}}, protocol.CodeHeaderInvalid},
		{"an empty producer name", nats.Msg{Header: nats.Header{"Laneway-Producer": {""}}}, protocol.CodeHeaderInvalid},
		{"a batch's content type in lower case", nats.Msg{Header: nats.Header{"content-type": {protocol.ContentTypeBatch}}}, protocol.CodeHeaderInvalid},
		{"one with parameters", nats.Msg{Header: nats.Header{"Content-Type": {protocol.ContentTypeBatch + "; v=1"}}}, protocol.CodeHeaderInvalid},
		{"one in upper case", nats.Msg{Header: nats.Header{"Content-Type": {strings.ToUpper(protocol.ContentTypeBatch)}}}, protocol.CodeHeaderInvalid},
		{"one beside another", nats.Msg{Header: nats.Header{"Content-Type": {"text/plain", protocol.ContentTypeBatch}}}, protocol.CodeHeaderInvalid},
		{"one twice in two cases", nats.Msg{Header: nats.Header{"Content-Type": {protocol.ContentTypeBatch}, "content-type": {"text/plain"}}}, protocol.CodeHeaderInvalid},
		{"a header of its own beside a frame", nats.Msg{Header: nats.Header{"Content-Type": {protocol.ContentTypeBatch}, "X-User": {"lost"}}, Data: fine}, protocol.CodeHeaderInvalid},
		{"an origin beside a frame", nats.Msg{Header: nats.Header{"Content-Type": {protocol.ContentTypeBatch}, "Nats-Stream": {"S"}}, Data: fine}, protocol.CodeHeaderInvalid},
		{"a message id of a record in a frame", nats.Msg{Header: batch, Data: claiming("Nats-Msg-Id", "7")}, protocol.CodeHeaderNotSupported},
		{"an offset of a record in a frame", nats.Msg{Header: batch, Data: claiming("Laneway-Offset", "7")}, protocol.CodeHeaderNotSupported},
		{"a frame in a frame", nats.Msg{Header: batch, Data: claiming("Content-Type", protocol.ContentTypeBatch)}, protocol.CodeHeaderNotSupported},
		{"a name that NATS cannot carry in a frame", nats.Msg{Header: batch, Data: claiming("A/B", "v")}, protocol.CodeHeaderInvalid},
		{"a frame of another version", nats.Msg{Header: batch, Data: []byte{0x92, 9, 0x90}}, protocol.CodeMalformedBatch},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parseForTest(&test.msg); err == nil || err.Code != test.want {
				t.Fatalf("error %v, want %s", err, test.want.Kind().Name)
			}
		})
	}
}

func TestARecordKeepsItsOwnHeadersOnly(t *testing.T) {
	p, err := parseForTest(&nats.Msg{Data: []byte("v"), Header: nats.Header{
		"b": {"2"}, "A": {"1", "1b"}, "Nats-Msg-Id": {"id"}, "Laneway-Producer": {"me"},
		"traceparent": {"00-x"}, "Nats-Expected-Stream": {"LANEWAY-orders-0"}, "Nats-Request-Info": {"{}"}, "Content-Type": {"text/plain"},
		"Nats-Trace-Dest": {"trace disabled"}, "Nats-Trace-Hop": {"1"}, "Nats-Stream": {"ORDERS"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, readErr := protocol.NewFrameReader(p.Payload)
	if readErr != nil {
		t.Fatal(readErr)
	}
	defer r.Close()
	record, _ := r.Next()
	want := []protocol.Header{{Name: "A", Value: "1"}, {Name: "A", Value: "1b"}, {Name: "Content-Type", Value: "text/plain"}, {Name: "Nats-Stream", Value: "ORDERS"}, {Name: "b", Value: "2"}, {Name: "traceparent", Value: "00-x"}}
	if len(record.Headers) != len(want) {
		t.Fatalf("headers %v, want %v", record.Headers, want)
	}
	for i := range want {
		if record.Headers[i] != want[i] {
			t.Fatalf("headers %v, want %v", record.Headers, want)
		}
	}
	if p.MessageID != "id" || p.Trace.Parent != "00-x" || string(record.Value) != "v" || p.Records != 1 {
		t.Fatalf("produce %+v", p)
	}
}

// compressed returns a compressed frame of one record of size bytes.
func compressed(t testing.TB, size int) []byte {
	t.Helper()
	frame, ok := protocol.CompressFrame(nil, protocol.EncodeRecord(protocol.Record{Value: make([]byte, size)}), protocol.CompressionZstd)
	if !ok {
		t.Fatal("the frame is not shorter")
	}
	return frame
}

func TestCompressedFrameIsLeftToTheStager(t *testing.T) {
	batch := nats.Header{"Content-Type": {protocol.ContentTypeBatch}}
	frame := compressed(t, testTopic.MaxRecordBytes+1) // only the stager sees that the record is too large
	damaged := bytes.Clone(frame)
	clear(damaged[len(damaged)-10:])
	for _, data := range [][]byte{frame, damaged} {
		p, err := parseForTest(&nats.Msg{Header: batch, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		if int(p.MaxRecordBytes) != testTopic.MaxRecordBytes || p.Records != 1 || p.Bytes <= int64(testTopic.MaxRecordBytes) || !bytes.Equal(p.Payload, data) {
			t.Errorf("produce %+v", p)
		}
	}
	plain, err := parseForTest(&nats.Msg{Header: batch, Data: claiming("a", "b")})
	if err != nil || plain.MaxRecordBytes != 0 || plain.Bytes != int64(len(plain.Payload)) {
		t.Errorf("a plain frame: %+v, %v", plain, err)
	}
}

func TestBombIsRefusedByWhatItDeclares(t *testing.T) {
	const maxPayload = 1 << 20
	for size, refused := range map[int]bool{maxPayload: true, maxPayload - protocol.EnvelopeRoom - 20: false} {
		frame := compressed(t, size)
		if len(frame) > 1000 {
			t.Fatalf("the frame has %d bytes", len(frame))
		}
		m := &nats.Msg{Header: nats.Header{"Content-Type": {protocol.ContentTypeBatch}}, Data: frame}
		p, err := parse(m, testTopic, "LANEWAY-orders-0", maxPayload, func() string { return "1" })
		if refused != (err != nil) || refused && err.Code != protocol.CodeMaxPayload {
			t.Errorf("%d bytes: %v", size, err)
		}
		if !refused && p.Bytes < int64(size) {
			t.Errorf("%d bytes count as %d", size, p.Bytes)
		}
	}
}

func TestABatchLeavesRoomForItsEnvelope(t *testing.T) {
	topic := testTopic
	topic.MaxRecordBytes = 1 << 20
	const maxPayload = 100 << 10
	parseSize := func(size int) *protocol.Error {
		_, err := parse(&nats.Msg{Data: make([]byte, size)}, topic, "LANEWAY-orders-0", maxPayload, func() string { return "1" })
		return err
	}
	if err := parseSize(maxPayload - protocol.EnvelopeRoom); err == nil || err.Code != protocol.CodeMaxPayload {
		t.Fatalf("error %v, want MAX_PAYLOAD_EXCEEDED", err)
	}
	if err := parseSize(maxPayload - protocol.EnvelopeRoom - 100); err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	var b protocol.FrameBuilder
	b.Append(protocol.Record{Headers: []protocol.Header{{Name: "A", Value: "1"}}, Value: []byte("v")})
	f.Add("_INBOX.a.b", "Laneway-Producer", "me", []byte("value"))
	f.Add("_R_.a", "Nats-Request-Info", `{"acc":"A","id":7}`, []byte(nil))
	f.Add("", "Content-Type", protocol.ContentTypeBatch, b.Bytes())
	f.Add("", "Content-Type", protocol.ContentTypeBatch, compressed(f, 90))
	f.Add("", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", []byte("value"))
	f.Fuzz(func(t *testing.T, reply, name, value string, data []byte) {
		m := &nats.Msg{Reply: reply, Data: data, Header: nats.Header{name: {value}}}
		p, err := parseForTest(m)
		if err != nil {
			if err.Code == protocol.CodeInternal || err.Retryable() {
				t.Fatalf("a bad request is refused with %v", err)
			}
			return
		}
		telemetry.Extract(t.Context(), p.Trace.Parent, p.Trace.State)
		if p.MaxRecordBytes > 0 {
			return // the stager checks the records
		}
		if n, checkErr := protocol.CheckFrame(p.Payload, testTopic.MaxRecordBytes); name == protocol.HeaderContentType && (checkErr != nil || n != int(p.Records)) {
			t.Fatalf("%d records, the frame has %d: %v", p.Records, n, checkErr)
		}
		if p.Lane == "" || len(p.Lane) > maxLane+2 {
			t.Fatalf("lane %q", p.Lane)
		}
	})
}

func TestAFrameIsNotCopied(t *testing.T) {
	var b protocol.FrameBuilder
	b.Append(protocol.Record{Value: []byte("v")})
	frame := b.Bytes()
	p, err := parseForTest(&nats.Msg{Header: nats.Header{"Content-Type": {protocol.ContentTypeBatch}}, Data: frame})
	if err != nil || &p.Payload[0] != &frame[0] {
		t.Fatalf("error %v; the payload must alias the message", err)
	}
}
