package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"laneway.dev/pkg/client"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/history"
)

// headerBlock is a header block as a client may send it, and what becomes of it.
type headerBlock struct {
	block string
	frame bool          // the body is a batch frame
	want  protocol.Code // of a produce request; CodeOK if it is appended
	kept  nats.Header   // with the record
	// broken says that the block cannot be read as a whole, so that the same is
	// answered to fetches, credits and requests of every API.
	broken bool
	// jetStreamRefuses says that a plain JetStream stream refuses the message as well.
	// It takes all others, and honours of them what it finds in the bytes. There
	// Laneway is stricter: a client that reads the message back finds something else.
	jetStreamRefuses bool
}

const (
	headerInvalid      = protocol.CodeHeaderInvalid
	headerNotSupported = protocol.CodeHeaderNotSupported
)

var headerBlocks = map[string]headerBlock{
	// What is accepted.
	"no headers":                      {block: "NATS/1.0\r\n\r\n"},
	"a header without a value":        {block: "NATS/1.0\r\nA:\r\n\r\n", kept: nats.Header{"A": {""}}},
	"no blank behind the colon":       {block: "NATS/1.0\r\nA:b\r\nC:d\r\n\r\n", kept: nats.Header{"A": {"b"}, "C": {"d"}}},
	"blanks behind a value":           {block: "NATS/1.0\r\nA: c \t \r\n\r\n", kept: nats.Header{"A": {"c"}}},
	"NUL in a value":                  {block: "NATS/1.0\r\nA: c\x00d\r\n\r\n", kept: nats.Header{"A": {"c\x00d"}}},
	"a value in no encoding":          {block: "NATS/1.0\r\nX: a\xffb\r\n\r\n", kept: nats.Header{"X": {"a\xffb"}}},
	"a trace context that is none":    {block: "NATS/1.0\r\ntraceparent: 00-xyz\r\n\r\n", kept: nats.Header{"traceparent": {"00-xyz"}}},
	"a line feed alone behind a line": {block: "NATS/1.0\r\nA: b\n\r\n", kept: nats.Header{"A": {"b"}}},
	"a trace context": {
		block: "NATS/1.0\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\nTracestate: b=2\r\n\r\n",
		kept: nats.Header{
			"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "tracestate": {"a=1"}, "Tracestate": {"b=2"},
		},
	},
	"another content type": {block: "NATS/1.0\r\ncontent-type: text/plain\r\n\r\n", kept: nats.Header{"content-type": {"text/plain"}}},
	"a frame":              {block: "NATS/1.0\r\nContent-Type: application/vnd.laneway.batch\r\n\r\n", frame: true},

	// Blocks that are not read as a whole.
	"a byte":                               {block: "x", broken: true},
	"garbage":                              {block: "xxxxxxxxxxxxxxxx", broken: true},
	"only the version":                     {block: "NATS/1.0", broken: true},
	"only the version and a line end":      {block: "NATS/1.0\r\n", broken: true},
	"no line end":                          {block: "NATS/1.0\r\nNats-Msg-Id: 7", broken: true},
	"no blank line":                        {block: "NATS/1.0\r\nNats-Msg-Id: 7\r\n", broken: true},
	"line feeds alone":                     {block: "NATS/1.0\nNats-Msg-Id: 7\n\n", broken: true},
	"a blank line at the start":            {block: "\r\nNATS/1.0\r\nNats-Msg-Id: 7\r\n\r\n", broken: true},
	"the version in lower case":            {block: "nats/1.0\r\nNats-Msg-Id: 7\r\n\r\n", broken: true},
	"version 1.1":                          {block: "NATS/1.1\r\nNats-Msg-Id: 7\r\n\r\n", broken: true},
	"a status":                             {block: "NATS/1.0 503\r\n\r\n", broken: true},
	"a status with a description":          {block: "NATS/1.0 100 x\r\nA: b\r\n\r\n", broken: true},
	"a status that is short":               {block: "NATS/1.0 5\r\nNats-Msg-Id: 7\r\n\r\n", broken: true},
	"a status without a blank":             {block: "NATS/1.0503\r\nNats-Msg-Id: 7\r\n\r\n", broken: true},
	"a line without a colon":               {block: "NATS/1.0\r\nNats-Msg-Id: 7\r\nbroken\r\n\r\n", broken: true},
	"such a line behind an expectation":    {block: "NATS/1.0\r\nNats-Expected-Last-Sequence: 999\r\nbroken\r\n\r\n", broken: true, jetStreamRefuses: true},
	"a continued value":                    {block: "NATS/1.0\r\nA: b\r\n c\r\nNats-Msg-Id: 7\r\n\r\n", broken: true},
	"a continued value with a colon":       {block: "NATS/1.0\r\nA: b\r\n c: d\r\nNats-Msg-Id: 7\r\n\r\n", broken: true},
	"a carriage return in a value":         {block: "NATS/1.0\r\nA: c\rd\r\n\r\n", broken: true},
	"a carriage return too many":           {block: "NATS/1.0\r\nA: c\r\r\n\r\n", broken: true},
	"two blanks behind a colon":            {block: "NATS/1.0\r\nA:  c\r\n\r\n", broken: true},
	"an id behind the blank line":          {block: "NATS/1.0\r\nA: b\r\n\r\nNats-Msg-Id: 7\r\n\r\n", broken: true},
	"an expectation behind it":             {block: "NATS/1.0\r\nA: b\r\n\r\nNats-Expected-Last-Sequence: 999\r\n\r\n", broken: true, jetStreamRefuses: true},
	"a rollup behind it":                   {block: "NATS/1.0\r\nA: b\r\n\r\nNats-Rollup: all\r\n\r\n", broken: true, jetStreamRefuses: true},
	"a line without a name":                {block: "NATS/1.0\r\n: lost\r\n\r\n", broken: true},
	"a name of blanks":                     {block: "NATS/1.0\r\n  : v\r\n\r\n", broken: true},
	"a blank before a name":                {block: "NATS/1.0\r\n Nats-Msg-Id: 7\r\n\r\n", broken: true},
	"a tab before a name":                  {block: "NATS/1.0\r\n\tNats-Expected-Last-Sequence: 999\r\n\r\n", broken: true},
	"a blank behind a name":                {block: "NATS/1.0\r\nNats-Msg-Id : 7\r\n\r\n", broken: true},
	"a tab in a name":                      {block: "NATS/1.0\r\na\tb: v\r\n\r\n", broken: true},
	"NUL in a name":                        {block: "NATS/1.0\r\nA\x00B: c\r\n\r\n", broken: true},
	"a name in no encoding":                {block: "NATS/1.0\r\nX\xff: ab\r\n\r\n", broken: true},
	"a name that NATS clients do not send": {block: "NATS/1.0\r\nX-Trace/Id: 1\r\n\r\n", broken: true},
	"a producer's headers and a line without a colon": {
		block:  "NATS/1.0\r\nContent-Type: application/vnd.laneway.batch\r\nLaneway-Producer-Id: 77\r\nLaneway-Producer-Epoch: 0\r\nLaneway-Sequence: 0\r\nLaneway-First-Unacked: 0\r\nbroken\r\n\r\n",
		broken: true, frame: true,
	},

	// What a request asks for, and does not say clearly.
	"an empty message id":                {block: "NATS/1.0\r\nNats-Msg-Id:\r\n\r\n", want: headerInvalid},
	"two message ids":                    {block: "NATS/1.0\r\nNats-Msg-Id: m1\r\nNats-Msg-Id: m2\r\n\r\n", want: headerInvalid},
	"an expected sequence with a sign":   {block: "NATS/1.0\r\nNats-Expected-Last-Sequence: +1\r\n\r\n", want: headerInvalid, jetStreamRefuses: true},
	"an empty expected sequence":         {block: "NATS/1.0\r\nNats-Expected-Last-Sequence:\r\n\r\n", want: headerInvalid},
	"two expected sequences":             {block: "NATS/1.0\r\nNats-Expected-Last-Sequence: 998\r\nNats-Expected-Last-Sequence: 999\r\n\r\n", want: headerInvalid, jetStreamRefuses: true},
	"an expected sequence and a blank":   {block: "NATS/1.0\r\nNats-Expected-Last-Sequence: 999 \r\n\r\n", want: protocol.CodeWrongLastSequence, jetStreamRefuses: true},
	"an empty expected stream":           {block: "NATS/1.0\r\nNats-Expected-Stream:\r\nNats-Expected-Stream: X\r\n\r\n", want: headerInvalid},
	"two producer ids":                   {block: "NATS/1.0\r\nLaneway-Producer-Id: 5\r\nLaneway-Producer-Id: 6\r\nLaneway-Producer-Epoch: 0\r\nLaneway-Sequence: 0\r\n\r\n", want: headerInvalid},
	"an offset of its own":               {block: "NATS/1.0\r\nLaneway-Offset: 99\r\n\r\n", want: headerNotSupported},
	"a frame's type in lower case":       {block: "NATS/1.0\r\ncontent-type: application/vnd.laneway.batch\r\n\r\n", want: headerInvalid, frame: true},
	"a frame's type with a parameter":    {block: "NATS/1.0\r\nContent-Type: application/vnd.laneway.batch; v=1\r\n\r\n", want: headerInvalid, frame: true},
	"a frame's type in upper case":       {block: "NATS/1.0\r\nContent-Type: APPLICATION/vnd.laneway.batch\r\n\r\n", want: headerInvalid, frame: true},
	"a frame's type behind another":      {block: "NATS/1.0\r\nContent-Type: text/plain\r\nContent-Type: application/vnd.laneway.batch\r\n\r\n", want: headerInvalid, frame: true},
	"a header of its own beside a frame": {block: "NATS/1.0\r\nContent-Type: application/vnd.laneway.batch\r\nX-User: lost\r\n\r\n", want: headerInvalid, frame: true},
}

func (b *headerBlock) code() protocol.Code {
	if b.broken {
		return headerInvalid
	}
	return b.want
}

func (b *headerBlock) body() string {
	if b.frame {
		return string(goodFrame)
	}
	return "value"
}

// errorCode reads the answer to a request.
func errorCode(t *testing.T, answer string) protocol.Code {
	t.Helper()
	var response protocol.ErrorResponse
	if err := json.Unmarshal([]byte(answer), &response); err != nil {
		t.Fatalf("%v in %q", err, answer)
	}
	if response.Error == nil {
		return protocol.CodeOK
	}
	return response.Error.Code
}

func TestHeaderBlocksAreTakenAsAWholeOrRefused(t *testing.T) {
	t.Parallel() // it measures no time and no memory
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f := start(t, kind, deployment.Options{})
		raw := dialRaw(ctx, t, f.Deployment)
		var kept []nats.Header
		for _, name := range slices.Sorted(maps.Keys(headerBlocks)) {
			b := headerBlocks[name]
			answer := raw.request(f.partition.ProduceSubject(), b.block, b.body())
			if got := errorCode(t, answer); got != b.code() {
				t.Errorf("%s is answered with %s, want %d", name, answer, b.code())
			}
			if b.code() == protocol.CodeOK {
				kept = append(kept, b.kept)
			}
		}
		t.Run("readers", func(t *testing.T) { f.expectHeaders(ctx, t, kept) })
		t.Run("JetStream", func(t *testing.T) { compareWithJetStream(ctx, t, f, raw) })
		t.Run("bound subjects", func(t *testing.T) { sendToBoundSubject(ctx, t, f, raw) })
		t.Run("requests", func(t *testing.T) { askWithHeaders(t, f, raw) })
		t.Run("credits", func(t *testing.T) { creditWithHeaders(t, f, raw) })
	})
}

// expectHeaders checks that every way to read the topic shows the same headers.
func (f *fixture) expectHeaders(ctx context.Context, t *testing.T, want []nats.Header) {
	t.Helper()
	singly, err := history.Records(ctx, f.conn, f.partition)
	if err != nil {
		t.Fatal(err)
	}
	var framed []client.Record
	for r, err := range client.New(f.conn).Consumer(client.ConsumerOptions{Topic: "orders"}).Records(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		framed = append(framed, r)
	}
	printed := bytes.Split(bytes.TrimSpace([]byte(f.Output(f.Laneway(ctx, "consume", "orders", "--json"), nil))), []byte("\n"))
	if len(singly) != len(want) || len(framed) != len(want) || len(printed) != len(want) {
		t.Fatalf("%d records are fetched singly, %d in frames, and %d are printed, want %d", len(singly), len(framed), len(printed), len(want))
	}
	for i, header := range want {
		expectHeader := func(way string, got nats.Header) {
			t.Helper()
			if !maps.EqualFunc(got, header, slices.Equal) {
				t.Errorf("record %d, %s: headers %q, want %q", i, way, got, header)
			}
		}
		maps.DeleteFunc(singly[i].Header, func(name string, _ []string) bool { return strings.HasPrefix(name, "Laneway-") })
		expectHeader("fetched singly", singly[i].Header)
		inFrame := nats.Header{}
		for _, h := range framed[i].Headers {
			inFrame[h.Name] = append(inFrame[h.Name], h.Value)
		}
		expectHeader("in a frame", inFrame)
		var object struct {
			Headers nats.Header         `json:"headers"`
			Base64  map[string][][]byte `json:"headers_base64"`
		}
		if err := json.Unmarshal(printed[i], &object); err != nil {
			t.Fatal(err)
		}
		for name, values := range object.Base64 {
			for _, v := range values {
				object.Headers[name] = append(object.Headers[name], string(v))
			}
		}
		expectHeader("printed", object.Headers)
	}
}

// compareWithJetStream sends every block to a plain stream of the same server.
func compareWithJetStream(ctx context.Context, t *testing.T, f *fixture, raw *rawNATS) {
	js, err := jetstream.New(f.conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "TWIN", Subjects: []string{"twin"}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(headerBlocks)) { // some of the answers depend on those before
		b := headerBlocks[name]
		answer := raw.request("twin", b.block, b.body())
		if refused := errorCode(t, answer) != protocol.CodeOK; refused != b.jetStreamRefuses {
			t.Errorf("JetStream answers %s with %s", name, answer)
		}
	}
}

// sendToBoundSubject sends every block to a subject that a topic is bound to.
func sendToBoundSubject(ctx context.Context, t *testing.T, f *fixture, raw *rawNATS) {
	if _, err := client.New(f.conn).Admin().CreateTopic(ctx, protocol.TopicConfig{Name: "shop", Subjects: []string{"shop.>"}}); err != nil {
		t.Fatal(err)
	}
	for name, b := range headerBlocks {
		want := b.code()
		if b.frame && want == protocol.CodeOK {
			want = protocol.CodeInvalidRequest // frames are not for bound subjects
		}
		if answer := raw.request("shop.new", b.block, b.body()); errorCode(t, answer) != want {
			t.Errorf("%s is answered with %s, want %d", name, answer, want)
		}
	}
}

// askWithHeaders sends every block with a fetch and with a request of each API.
func askWithHeaders(t *testing.T, f *fixture, raw *rawNATS) {
	requests := map[string]string{
		protocol.TopicAPI + "list": `{}`, protocol.TopicAPI + "info": `{"name":"orders"}`,
		protocol.TopicAPI + "create": `{"name":"orders"}`, protocol.TopicAPI + "delete": `{"name":"nothing"}`,
		protocol.ProducerAPI + "init": `{}`, protocol.ProducerAPI + "list": `{"topic":"orders","partition":0}`,
		protocol.ProducerAPI + "info": `{"topic":"orders","producer_id":"1"}`,
	}
	for name, b := range headerBlocks {
		for subject, body := range requests {
			answer := raw.request(subject, b.block, body)
			if got := errorCode(t, answer); (got == headerInvalid) != b.broken {
				t.Errorf("%s to %s is answered with %s", name, subject, answer)
			}
		}
		raw.publish(f.partition.FetchSubject(), b.block, `{"offset":0,"max_records":1}`)
		header, _, body := raw.receive()
		if refused := strings.Contains(header, "Laneway-Error: HEADER_INVALID\r\n") && errorCode(t, body) == headerInvalid; refused != b.broken {
			t.Errorf("a fetch with %s is answered with %q %s", name, header, body)
		}
		if !b.broken { // a record has come, and the end follows
			if header, _, _ := raw.receive(); !strings.Contains(header, "Status: 204\r\n") {
				t.Errorf("a fetch with %s ends with %q", name, header)
			}
		}
	}
}

// creditWithHeaders grants credit by a message with each block.
func creditWithHeaders(t *testing.T, f *fixture, raw *rawNATS) {
	for name, b := range headerBlocks {
		raw.publish(f.partition.FetchSubject(), "NATS/1.0\r\n\r\n", `{"offset":0,"max_records":2,"window_bytes":1}`)
		_, reply, _ := raw.receive()
		raw.publish(reply, b.block, fmt.Sprint(len("value")))
		header, _, _ := raw.receive()
		if refused := strings.Contains(header, "Laneway-Error: HEADER_INVALID\r\n"); refused != b.broken {
			t.Errorf("a credit with %s is answered with %q", name, header)
		}
		if !b.broken {
			raw.receive() // the end
		}
	}
}
