package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
	"laneway.dev/test/deployment"
)

// whole reads an answer by the rules of every library, and its part that is only
// ours. It returns the code; CodeOK is an acknowledgement.
func whole(t *testing.T, data []byte) protocol.Code {
	t.Helper()
	var ack struct {
		Stream    string
		Sequence  uint64 `json:"seq"`
		Duplicate bool
		Error     *struct {
			Code        uint64
			ErrCode     uint64 `json:"err_code"`
			Description string
		}
		Name, Action string
		Retryable    *bool
	}
	if err := json.Unmarshal(data, &ack); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	if ack.Error == nil {
		readByAll(t, data, understood{stream: ack.Stream, sequence: ack.Sequence, duplicate: ack.Duplicate})
		return protocol.CodeOK
	}
	readByAll(t, data, understood{code: ack.Error.Code, errCode: ack.Error.ErrCode, description: ack.Error.Description})
	code := protocol.Code(ack.Error.ErrCode)
	k := code.Kind()
	if ack.Name != k.Name || ack.Action == "" || ack.Retryable == nil || *ack.Retryable != k.Retryable || ack.Error.Code != uint64(k.Status) {
		t.Errorf("%s does not say name, retryable and action of %s beside the error", data, k.Name)
	}
	return code
}

// sequenced returns a record of an idempotent producer; an expected first unacked
// sequence of -1 is none.
func sequenced(p place, id, epoch, sequence, firstUnacked int) *nats.Msg {
	m := nats.NewMsg(p.subject)
	m.Data = []byte("sequenced")
	m.Header.Set(protocol.HeaderProducerID, strconv.Itoa(id))
	m.Header.Set(protocol.HeaderProducerEpoch, strconv.Itoa(epoch))
	m.Header.Set(protocol.HeaderSequence, strconv.Itoa(sequence))
	if firstUnacked >= 0 {
		m.Header.Set(protocol.HeaderFirstUnacked, strconv.Itoa(firstUnacked))
	}
	return m
}

// with returns a record with headers.
func with(p place, pairs ...string) *nats.Msg {
	m := nats.NewMsg(p.subject)
	for i := 0; i < len(pairs); i += 2 {
		m.Header.Set(pairs[i], pairs[i+1])
	}
	return m
}

func testAnswersAreReadByEveryLibrary(t *testing.T, f *fixture) {
	ask := func(name string, m *nats.Msg, want protocol.Code) {
		t.Helper()
		answer, err := f.conn.RequestMsgWithContext(f.ctx, m)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := whole(t, answer.Data); got != want {
			t.Errorf("%s is answered with %s, want %s", name, answer.Data, want.Kind().Name)
		}
	}
	p := f.laneway
	ask("a record", with(p), protocol.CodeOK)
	ask("a message id", with(p, nats.MsgIdHdr, "1"), protocol.CodeOK)
	ask("a message id again", with(p, nats.MsgIdHdr, "1"), protocol.CodeOK)
	ask("another stream", with(p, nats.ExpectedStreamHdr, "OTHER"), protocol.CodeStreamMismatch)
	ask("another last sequence", with(p, nats.ExpectedLastSeqHdr, "99"), protocol.CodeWrongLastSequence)
	ask("another last id", with(p, nats.ExpectedLastMsgIdHdr, "other"), protocol.CodeWrongLastID)
	ask("a rollup", with(p, nats.MsgRollup, "all"), protocol.CodeHeaderNotSupported)
	ask("a sequence that is none", with(p, protocol.HeaderProducerID, "1", protocol.HeaderSequence, "x"), protocol.CodeHeaderInvalid)
	ask("a body that is no frame", with(p, protocol.HeaderContentType, protocol.ContentTypeBatch), protocol.CodeMalformedBatch)
	large := with(p)
	large.Data = make([]byte, protocol.DefaultMaxRecordBytes+1)
	ask("a large record", large, protocol.CodeMessageTooLarge)
	ask("large headers", with(p, "A", strings.Repeat("x", 1<<20)), protocol.CodeHeadersTooLarge)

	ask("a producer", sequenced(p, 7, 3, 0, 0), protocol.CodeOK)
	ask("an older epoch", sequenced(p, 7, 2, 0, 0), protocol.CodeInvalidEpoch)
	ask("a sequence too far", sequenced(p, 7, 3, 9, 1), protocol.CodeOutOfOrderSequence)
	ask("a sequence that nothing comes before", sequenced(p, 7, 3, 9, 9), protocol.CodeOutOfOrderFinal)
	ask("a producer that is not known", sequenced(p, 8, 0, 5, -1), protocol.CodeUnknownProducer)

	name := f.partition.Topic
	for request, want := range map[string]protocol.Code{
		`topic.create {"name":"` + name + `"}`:      protocol.CodeTopicExists,
		`topic.create {"name":"a.b"}`:               protocol.CodeInvalidTopicName,
		`topic.create {"name":"x","subjects":[""]}`: protocol.CodeInvalidSubject,
		`topic.create {`:                            protocol.CodeInvalidRequest,
		`topic.info {"name":"nothing"}`:             protocol.CodeUnknownTopic,
		`topic.delete {"name":"nothing"}`:           protocol.CodeUnknownTopic,
		`producer.init {"topics":["x"]}`:            protocol.CodeInvalidRequest,
		`producer.list {"topic":"nothing"}`:         protocol.CodeUnknownTopic,
		`producer.info {"topic":"nothing"}`:         protocol.CodeInvalidRequest,
	} {
		api, body, _ := strings.Cut(request, " ")
		ask(request, &nats.Msg{Subject: "laneway.api." + api, Data: []byte(body)}, want)
	}

	for request, want := range map[string]protocol.Code{
		`{"offset":99}`: protocol.CodeOffsetOutOfRange,
		`{"from":"x"}`:  protocol.CodeInvalidRequest,
		`{`:             protocol.CodeInvalidRequest,
	} {
		if got := f.fetchEnds(t, request, func() {}); got != want {
			t.Errorf("fetch %s ends with %s, want %s", request, got.Kind().Name, want.Kind().Name)
		}
	}
}

// fetchEnds fetches until the status that ends the fetch, whose body is an answer
// as others are, and returns its code. It calls started when the first message came.
func (f *fixture) fetchEnds(t *testing.T, request string, started func()) protocol.Code {
	t.Helper()
	inbox := f.conn.NewInbox()
	answers, err := f.conn.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := f.conn.PublishRequest(f.partition.FetchSubject(), inbox, []byte(request)); err != nil {
		t.Fatal(err)
	}
	for first := true; ; first = false {
		m, err := answers.NextMsgWithContext(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if first {
			started()
		}
		status := m.Header.Get(protocol.HeaderStatus)
		switch {
		case m.Header.Get(protocol.HeaderOffset) != "", status == protocol.StatusHeartbeat:
			continue
		case m.Header.Get(protocol.HeaderError) == "":
			t.Errorf("the fetch ends with %v and no error", m.Header)
			return protocol.CodeOK
		case status == protocol.StatusNoRecords:
			t.Errorf("an error ends a fetch as if nothing had come: %v", m.Header)
		}
		return whole(t, m.Data)
	}
}

// A client that looks at the status first must not take the end of a topic for
// the news that nothing came.
func testDeletedTopicDoesNotLookEmpty(t *testing.T, f *fixture) {
	if _, err := f.conn.RequestMsgWithContext(f.ctx, with(f.laneway)); err != nil {
		t.Fatal(err)
	}
	extra := f.CreateTopic(f.conn, f.partition.Topic+"-deleted")
	g := *f
	g.partition = extra.Partition(0)
	if _, err := f.conn.RequestMsgWithContext(f.ctx, nats.NewMsg(g.partition.ProduceSubject())); err != nil {
		t.Fatal(err)
	}
	gone := func() { f.DeleteTopic(f.conn, extra.Name) }
	if got := g.fetchEnds(t, `{"from":"earliest","follow":true,"window_bytes":1000}`, gone); got != protocol.CodeUnknownTopic {
		t.Errorf("the fetch ends with %s", got.Kind().Name)
	}
}

// answersOf asks for one answer after the other until one has the code.
func (f *fixture) answersOf(t *testing.T, want protocol.Code, ask func(ctx context.Context) ([]byte, error)) {
	t.Helper()
	err := deployment.Eventually(f.ctx, func(ctx context.Context) error {
		data, err := ask(ctx)
		if err != nil {
			return err
		}
		if got := whole(t, data); got != want {
			return fmt.Errorf("it is answered with %s", data)
		}
		return nil
	})
	if err != nil {
		t.Errorf("no %s: %v", want.Kind().Name, err)
	}
}

// What a partition in trouble answers.
func TestErrorsOfDamagedPartitionAreParsed(t *testing.T) {
	t.Run("failing uploads", func(t *testing.T) {
		f := use(t, deployment.Start(t, deployment.OneProcess, deployment.Options{Stager: []string{"--fault", "stage.fail=1"}, Frontend: uploadsAll}))
		f.answersOf(t, protocol.CodeFailed, func(ctx context.Context) ([]byte, error) {
			m, err := f.conn.RequestMsgWithContext(ctx, with(f.laneway))
			if err != nil {
				return nil, err
			}
			return m.Data, nil
		})
	})
	t.Run("slow uploads", func(t *testing.T) {
		f := use(t, deployment.Start(t, deployment.OneProcess, deployment.Options{
			Stager:   []string{"--fault", "stage.delay=1h"},
			Frontend: append([]string{"--max-in-flight-per-partition", "1", "--deadline", "2s"}, uploadsAll...),
		}))
		answers, err := f.conn.SubscribeSync("answers." + f.partition.Topic)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := f.conn.PublishRequest(f.laneway.subject, answers.Subject, nil); err != nil {
				t.Fatal(err)
			}
		}
		codes := make(map[protocol.Code]int)
		for range 5 {
			m, err := answers.NextMsgWithContext(f.ctx)
			if err != nil {
				t.Fatal(err)
			}
			codes[whole(t, m.Data)]++
		}
		if codes[protocol.CodeOverloaded] == 0 || codes[protocol.CodeOutcomeUnknown]+codes[protocol.CodeFailed] == 0 {
			t.Errorf("the answers are %v", codes)
		}
	})
	t.Run("a lost object", func(t *testing.T) {
		d := deployment.Start(t, deployment.OneProcess, deployment.Options{Frontend: uploadsAll})
		f := use(t, d)
		if _, err := f.conn.RequestMsgWithContext(f.ctx, with(f.laneway)); err != nil {
			t.Fatal(err)
		}
		d.Terminate(deployment.Serve)
		objects := 0
		err := filepath.WalkDir(filepath.Join(d.Objects(), "o"), func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				objects++
				return os.Truncate(path, 1)
			}
			return err
		})
		if err != nil || objects == 0 {
			t.Fatalf("%d objects, %v", objects, err)
		}
		d.Restart(deployment.Serve)
		d.AwaitReady(f.ctx)
		d.AwaitConnected(f.ctx, f.conn)
		if got := f.fetchEnds(t, `{"from":"earliest"}`, func() {}); got != protocol.CodeCorrupt {
			t.Errorf("the fetch ends with %s", got.Kind().Name)
		}
	})
}
