package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
	"laneway.dev/test/load"
)

// noResponders is how the rows say that NATS itself answers: no service has subscribed to the subject.
const noResponders protocol.Code = 503

// hostile is what a row of bad input has to work with: a connection of its own.
type hostile struct {
	*fixture
	t    *testing.T
	ctx  context.Context
	conn *nats.Conn
}

// misdeed sends something bad and returns the code that it is answered with.
type misdeed func(h *hostile) protocol.Code

// produce sends a message to a subject below that of produce requests.
func produce(target string, header nats.Header, data []byte) misdeed {
	return func(h *hostile) protocol.Code {
		return h.ask(&nats.Msg{Subject: protocol.ProducePrefix + target, Header: header, Data: data})
	}
}

// frame sends what claims to be a batch frame.
func frame(data []byte) misdeed {
	return produce("orders.0", nats.Header{protocol.HeaderContentType: {protocol.ContentTypeBatch}}, data)
}

// header sends a record with one header.
func header(name, value string) misdeed {
	return produce("orders.0", nats.Header{name: {value}}, []byte("x"))
}

// api sends a request of the topic API.
func api(operation, body string) misdeed {
	return func(h *hostile) protocol.Code {
		return h.ask(&nats.Msg{Subject: protocol.TopicAPI + operation, Data: []byte(body)})
	}
}

// ask sends a request and returns the code of the JSON error that answers it.
func (h *hostile) ask(m *nats.Msg) protocol.Code {
	answer, err := h.conn.RequestMsgWithContext(h.ctx, m)
	if errors.Is(err, nats.ErrNoResponders) {
		return noResponders
	}
	if err != nil {
		h.t.Fatalf("%s: %v", m.Subject, err)
	}
	var response protocol.ErrorResponse
	if err := json.Unmarshal(answer.Data, &response); err != nil {
		h.t.Fatalf("%s: %v in %q", m.Subject, err, answer.Data)
	}
	if response.Error == nil {
		return protocol.CodeOK
	}
	if response.Error.Error() == "" || response.Error.Code.Kind().Action == "" {
		h.t.Errorf("%s: %s does not say what to do", m.Subject, answer.Data)
	}
	return response.Error.Code
}

// fetch sends a fetch request and returns how the fetch ends.
func fetch(target, body string) misdeed {
	return func(h *hostile) protocol.Code {
		return h.untilStatus(target, body, func(*nats.Msg) {})
	}
}

// untilStatus fetches until the last status, and shows what comes before it.
func (h *hostile) untilStatus(target, body string, show func(*nats.Msg)) protocol.Code {
	inbox := h.conn.NewInbox()
	answers, err := h.conn.SubscribeSync(inbox)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := h.conn.PublishRequest(protocol.FetchPrefix+target, inbox, []byte(body)); err != nil {
		h.t.Fatal(err)
	}
	for {
		m, err := answers.NextMsgWithContext(h.ctx)
		if err != nil {
			if errors.Is(err, nats.ErrNoResponders) {
				return noResponders
			}
			h.t.Fatalf("fetch %s: %v", body, err)
		}
		if code, last := ended(m); last {
			return code
		}
		show(m)
	}
}

// ended says whether a message is the last one of a fetch, and with what code.
func ended(m *nats.Msg) (protocol.Code, bool) {
	status, name := m.Header.Get(protocol.HeaderStatus), m.Header.Get(protocol.HeaderError)
	switch {
	case status == "" || m.Header.Get(protocol.HeaderOffset) != "" || status == protocol.StatusHeartbeat, status == protocol.StatusGap:
		return protocol.CodeOK, false
	case name == "":
		return protocol.CodeOK, true
	}
	for _, code := range protocol.Codes() {
		if code.Kind().Name == name && m.Header.Get(protocol.HeaderDesc) != "" {
			return code, true
		}
	}
	return protocol.CodeInternal, true
}

// internal sends something to a subject of the services, that gets no answer.
func internal(subject func(p protocol.Partition) string, data []byte) misdeed {
	return func(h *hostile) protocol.Code {
		if err := errors.Join(h.conn.Publish(subject(h.partition), data), h.conn.FlushWithContext(h.ctx)); err != nil {
			h.t.Fatal(err)
		}
		return protocol.CodeOK
	}
}

// manyHeaders returns so many headers, each with a value of some bytes.
func manyHeaders(n, size int) nats.Header {
	h := nats.Header{}
	for i := range n {
		h[fmt.Sprint("H", i)] = []string{strings.Repeat("v", size)}
	}
	return h
}

// deep returns JSON that is nested so deeply.
func deep(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// msgpack of a frame and of an internal message, and what is wrong about them.
var (
	goodFrame     = protocol.EncodeRecord(protocol.Record{Value: []byte("value")})
	undeliverable = protocol.EncodeRecord(protocol.Record{Headers: []protocol.Header{{Name: "H", Value: "v\r\nStatus: 204"}}})
	absurdCount   = []byte{0x92, 0x01, 0xdd, 0xff, 0xff, 0xff, 0xff}
	otherFrame    = append([]byte{0x92, 0x63}, goodFrame[2:]...)
	goodMessage   = messages.Encode(messages.Hello{Partition: protocol.Partition{Topic: "orders"}})
)

// claiming returns a frame of one record with a header that it cannot have.
func claiming(name string) []byte {
	return protocol.EncodeRecord(protocol.Record{Headers: []protocol.Header{{Name: name, Value: "1"}}})
}

// producing are the bad produce requests.
var producing = map[string]struct {
	do   misdeed
	want protocol.Code
}{
	"a topic that is not there":          {produce("nothing.0", nil, nil), noResponders},
	"a partition that is not there":      {produce("orders.1", nil, nil), noResponders},
	"a negative partition":               {produce("orders.-1", nil, nil), noResponders},
	"no partition":                       {produce("orders", nil, nil), noResponders},
	"wildcards for topic and partition":  {produce("*.*", nil, nil), noResponders},
	"a full wildcard":                    {produce(">", nil, nil), noResponders},
	"a topic's name with dots":           {produce("or.ders.0", nil, nil), noResponders},
	"a record over the topic's limit":    {produce("orders.0", nil, make([]byte, 3<<20)), protocol.CodeMessageTooLarge},
	"a batch over what NATS carries on":  {frame(largeBatch(8<<20 - 1000)), protocol.CodeMaxPayload},
	"a frame that is empty":              {frame(nil), protocol.CodeMalformedBatch},
	"a frame that is no msgpack":         {frame([]byte("{\"records\":[]}")), protocol.CodeMalformedBatch},
	"a frame that is cut":                {frame(goodFrame[:len(goodFrame)-2]), protocol.CodeMalformedBatch},
	"a frame with bytes behind it":       {frame(append(slices.Clone(goodFrame), 0)), protocol.CodeMalformedBatch},
	"a frame of another version":         {frame(otherFrame), protocol.CodeMalformedBatch},
	"a frame with an absurd count":       {frame(absurdCount), protocol.CodeMalformedBatch},
	"a frame without records":            {frame([]byte{0x92, 0x01, 0x90}), protocol.CodeEmptyBatch},
	"64 KiB in one header":               {header("H", strings.Repeat("v", 64<<10)), protocol.CodeHeadersTooLarge},
	"64 KiB in 200 headers":              {produce("orders.0", manyHeaders(200, 64<<10/200), nil), protocol.CodeHeadersTooLarge},
	"thousands of headers":               {produce("orders.0", manyHeaders(5000, 1), nil), protocol.CodeHeadersTooLarge},
	"a header that cannot be delivered":  {frame(undeliverable), protocol.CodeHeaderInvalid},
	"a frame's record with an offset":    {frame(claiming(protocol.HeaderOffset)), protocol.CodeHeaderNotSupported},
	"a frame's record with a message id": {frame(claiming(protocol.HeaderMessageID)), protocol.CodeHeaderNotSupported},
	"a frame's record with an odd name":  {frame(claiming("X-Trace/Id")), protocol.CodeHeaderInvalid},
	"a lane's name that is too long":     {header(protocol.HeaderProducer, strings.Repeat("p", 300)), protocol.CodeHeaderInvalid},
	"a message id that is too long":      {header(protocol.HeaderMessageID, strings.Repeat("i", 2000)), protocol.CodeHeaderInvalid},
	"a NATS header that is not honoured": {header("Nats-Rollup", "sub"), protocol.CodeHeaderNotSupported},
	"a header of Laneway's own":          {header(protocol.HeaderOffset, "1"), protocol.CodeHeaderNotSupported},
	"another stream's name":              {header(protocol.HeaderExpectedStream, "ORDERS"), protocol.CodeStreamMismatch},
}

// fetching are the bad fetch requests.
var fetching = map[string]struct {
	do   misdeed
	want protocol.Code
}{
	"a topic that is not there":     {fetch("nothing.0", `{"offset":0}`), noResponders},
	"a partition that is not there": {fetch("orders.7", `{"offset":0}`), noResponders},
	"beyond the end":                {fetch("orders.0", `{"offset":1000000000000}`), protocol.CodeOffsetOutOfRange},
	"below the start":               {fetch("orders.0", `{"offset":-1}`), protocol.CodeOffsetOutOfRange},
	"an offset that is no int64":    {fetch("orders.0", `{"offset":1e30}`), protocol.CodeInvalidRequest},
	"an offset that is a word":      {fetch("orders.0", `{"offset":"first"}`), protocol.CodeInvalidRequest},
	"negative max_bytes":            {fetch("orders.0", `{"offset":0,"max_bytes":-1}`), protocol.CodeInvalidRequest},
	"negative max_records":          {fetch("orders.0", `{"offset":0,"max_records":-1}`), protocol.CodeInvalidRequest},
	"negative max_wait_ms":          {fetch("orders.0", `{"offset":0,"max_wait_ms":-1}`), protocol.CodeInvalidRequest},
	"a negative window":             {fetch("orders.0", `{"offset":0,"window_bytes":-1}`), protocol.CodeInvalidRequest},
	"no start":                      {fetch("orders.0", `{}`), protocol.CodeInvalidRequest},
	"two starts":                    {fetch("orders.0", `{"offset":0,"from":"latest"}`), protocol.CodeInvalidRequest},
	"a start that is unheard of":    {fetch("orders.0", `{"from":"*"}`), protocol.CodeInvalidRequest},
	"a field that is unheard of":    {fetch("orders.0", `{"offset":0,"subject":">"}`), protocol.CodeInvalidRequest},
	"nothing":                       {fetch("orders.0", ``), protocol.CodeInvalidRequest},
	"no JSON":                       {fetch("orders.0", `offset=0`), protocol.CodeInvalidRequest},
	"two requests in one":           {fetch("orders.0", `{"offset":0}{"offset":0}`), protocol.CodeInvalidRequest},
	"deep JSON":                     {fetch("orders.0", deep(1<<20)), protocol.CodeInvalidRequest},
	"a credit that is garbage":      {garbageCredit("much"), protocol.CodeInvalidRequest},
	"a credit that is negative":     {garbageCredit("-5"), protocol.CodeInvalidRequest},
	"a credit of a megabyte":        {garbageCredit(strings.Repeat("9", 1<<20)), protocol.CodeInvalidRequest},
	"more fetches than are allowed": {tooManyFetches, protocol.CodeTooManyFetches},
}

// administering are the bad requests of the topic API.
var administering = map[string]struct {
	do   misdeed
	want protocol.Code
}{
	"a name with dots":           {api("create", `{"name":"a.b"}`), protocol.CodeInvalidTopicName},
	"a name with spaces":         {api("create", `{"name":"a b"}`), protocol.CodeInvalidTopicName},
	"a name that is a wildcard":  {api("create", `{"name":"*"}`), protocol.CodeInvalidTopicName},
	"a name that matches all":    {api("create", `{"name":">"}`), protocol.CodeInvalidTopicName},
	"no name":                    {api("create", `{}`), protocol.CodeInvalidTopicName},
	"a name that is too long":    {api("create", `{"name":"`+strings.Repeat("n", 65)+`"}`), protocol.CodeInvalidTopicName},
	"a name with a path":         {api("create", `{"name":"../../etc"}`), protocol.CodeInvalidTopicName},
	"a name that is a number":    {api("create", `{"name":1}`), protocol.CodeInvalidRequest},
	"negative partitions":        {api("create", `{"name":"t","partitions":-1}`), protocol.CodeInvalidRequest},
	"absurdly many partitions":   {api("create", `{"name":"t","partitions":1000000000}`), protocol.CodeInvalidRequest},
	"partitions that are a list": {api("create", `{"name":"t","partitions":[1]}`), protocol.CodeInvalidRequest},
	"absurdly large records":     {api("create", `{"name":"t","max_record_bytes":9223372036854775807}`), protocol.CodeInvalidRequest},
	"a field that is unheard of": {api("create", `{"name":"t","replicas":3}`), protocol.CodeInvalidRequest},
	"a topic that exists":        {api("create", `{"name":"orders"}`), protocol.CodeTopicExists},
	"no JSON":                    {api("create", `name=t`), protocol.CodeInvalidRequest},
	"nothing":                    {api("create", ``), protocol.CodeInvalidRequest},
	"deep JSON":                  {api("create", deep(20000)), protocol.CodeInvalidRequest},
	"huge JSON":                  {api("create", `{"name":"`+strings.Repeat("n", 4<<20)+`"}`), protocol.CodeInvalidRequest},
	"info without a topic":       {api("info", `{"name":"nothing"}`), protocol.CodeUnknownTopic},
	"info of a wildcard":         {api("info", `{"name":"*"}`), protocol.CodeInvalidTopicName},
	"delete without a topic":     {api("delete", `{"name":"nothing"}`), protocol.CodeUnknownTopic},
	"delete of everything":       {api("delete", `{"name":">"}`), protocol.CodeInvalidTopicName},
}

// garbageCredit opens a fetch that waits and answers its heartbeat with garbage.
func garbageCredit(word string) misdeed {
	return func(h *hostile) protocol.Code {
		sent := false
		return h.untilStatus("orders.0", `{"from":"earliest","follow":true,"window_bytes":10}`, func(m *nats.Msg) {
			if sent {
				return
			}
			sent = true
			if err := h.conn.Publish(m.Reply, []byte(word)); err != nil {
				h.t.Error(err)
			}
		})
	}
}

// tooManyFetches opens far more fetches than a frontend allows, grants nothing, answers
// heartbeats so that none of them ends for its silence, and leaves them.
func tooManyFetches(h *hostile) protocol.Code {
	const fetches, limit = 3000, 1024
	conn := h.Connect()
	defer conn.Close()
	inbox := conn.NewInbox() + "."
	answers, err := conn.SubscribeSync(inbox + "*")
	if err == nil {
		err = answers.SetPendingLimits(-1, -1)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	for n := range fetches {
		reply := inbox + strconv.Itoa(n)
		if err := conn.PublishRequest(h.partition.FetchSubject(), reply, []byte(`{"from":"earliest","follow":true,"window_bytes":1000}`)); err != nil {
			h.t.Fatal(err)
		}
	}
	heard, open := make(map[string]bool), make(map[string]string) // open has credit subjects
	refused := 0
	say := func(credit, word string) {
		if err := conn.Publish(credit, []byte(word)); err != nil {
			h.t.Fatal(err)
		}
	}
	for len(heard) < fetches {
		m, err := answers.NextMsgWithContext(h.ctx)
		if err != nil {
			h.t.Fatalf("%d of %d fetches have said something, %d were refused: %v", len(heard), fetches, refused, err)
		}
		heard[m.Subject] = true
		switch code, last := ended(m); {
		case code == protocol.CodeTooManyFetches:
			refused++
		case last: // for any other reason
			delete(open, m.Subject)
		case m.Reply != "":
			open[m.Subject] = m.Reply
			if m.Header.Get(protocol.HeaderStatus) == protocol.StatusHeartbeat {
				say(m.Reply, "0")
			}
		}
	}
	for _, credit := range open {
		say(credit, protocol.CancelFetch)
	}
	if err := conn.FlushWithContext(h.ctx); err != nil {
		h.t.Fatal(err)
	}
	h.AwaitMetric(h.ctx, deployment.Frontend, "laneway_frontend_fetches", func(v float64) bool { return v < limit/2 })
	if refused == 0 {
		return protocol.CodeOK
	}
	return protocol.CodeTooManyFetches
}

// run runs rows of bad requests of a kind. Each must be answered with its code,
// and counted under its name.
func (h *hostile) run(t *testing.T, kind string, rows map[string]struct {
	do   misdeed
	want protocol.Code
},
) {
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		row := rows[name]
		own := *h
		t.Run(kind+": "+name, func(t *testing.T) {
			own.t = t
			metric := fmt.Sprintf(`laneway_frontend_errors_total{error=%q,`, row.want.Kind().Name)
			label := fmt.Sprintf(`request=%q`, kind)
			before := own.labelled(metric, label)
			if got := row.do(&own); got != row.want {
				t.Fatalf("answered with %d %s, want %d %s", got, got.Kind().Name, row.want, row.want.Kind().Name)
			}
			if row.want == noResponders {
				return // the request has not come to Laneway
			}
			if after := own.labelled(metric, label); after <= before {
				t.Errorf("%s} is %v, it was %v before", metric+label, after, before)
			}
		})
	}
}

// labelled returns the value of the frontend's sample that begins so and has a
// label; 0 if there is none.
func (h *hostile) labelled(prefix, label string) float64 {
	h.t.Helper()
	v, err := h.Sample(h.ctx, deployment.Frontend, prefix, label)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

func TestBadInputIsRefusedAndDisturbsNobody(t *testing.T) {
	deployment.Each(t, func(t *testing.T, kind deployment.Kind) {
		ctx := within(t, 2*time.Minute)
		f := start(t, kind, deployment.Options{})
		h := &hostile{fixture: f, t: t, ctx: ctx, conn: f.Connect()}
		memory := f.memory(t)
		f.underLoad(ctx, t, func() map[string][]load.Batch {
			h.run(t, "produce", producing)
			h.run(t, "fetch", fetching)
			h.run(t, "topic", administering)
			h.malformed(t)
			h.overlongLine(t)
			f.bounded(t, memory)
			return f.probe(ctx, t, "after")
		})
	})
}

// malformed sends what is no message of Laneway to every service, and awaits
// that each has counted it.
func (h *hostile) malformed(t *testing.T) {
	garbage := map[string][]byte{
		"nothing": nil, "no msgpack": []byte("hello"), "cut": goodMessage[:len(goodMessage)-1],
		"another version": append([]byte{goodMessage[0], 0x63}, goodMessage[2:]...),
		"an absurd count": absurdCount,
	}
	targets := map[string]func(protocol.Partition) string{
		deployment.Stager:     func(protocol.Partition) string { return messages.StageSubject },
		deployment.Sequencer:  messages.SequencerSubject,
		deployment.Replicator: messages.ReplicatorSubject,
		deployment.Frontend:   messages.CommittedSubject,
	}
	for service, subject := range targets {
		metric := fmt.Sprintf("laneway_%s_malformed_total", service)
		before := h.MustMetric(service, metric)
		for _, data := range garbage {
			internal(subject, data)(h)
		}
		h.AwaitMetric(h.ctx, service, metric, func(v float64) bool { return v >= before+float64(len(garbage)) })
	}
}

// overlongLine announces more bytes than the server takes from a client, which
// no client library lets one do.
func (h *hostile) overlongLine(t *testing.T) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(h.URL(), "nats://"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "CONNECT {\"verbose\":false}\r\nPUB %s 99999999\r\n", h.partition.ProduceSubject()); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), []byte("Maximum Payload Violation")) {
			return
		}
	}
	t.Errorf("a payload of 99,999,999 bytes is not refused: %v", lines.Err())
}

// memory returns the most that each process has ever held in memory, in bytes.
func (f *fixture) memory(t *testing.T) map[string]int64 {
	t.Helper()
	held := make(map[string]int64)
	for _, role := range f.Roles() {
		held[role] = f.PeakMemory(role)
	}
	return held
}

// bounded checks that no process has grown out of bounds, nor panicked.
func (f *fixture) bounded(t *testing.T, before map[string]int64) {
	t.Helper()
	for role, now := range f.memory(t) {
		most := int64(768 << 20) // the server holds up to 512 MiB for one connection
		if role == deployment.Serve {
			most += archiverBudget // while no job needs it, garbage may
		}
		t.Logf("%s: at most %d MiB, before %d MiB", role, now>>20, before[role]>>20)
		if now > before[role]+most {
			t.Errorf("%s has grown from %d to %d bytes", role, before[role], now)
		}
		if log := f.Log(role); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
			t.Errorf("%s has panicked:\n%s", role, log)
		}
	}
}
