package producers

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/producerregistry"
	"laneway.dev/internal/topics"
	"laneway.dev/internal/transport"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

const (
	patience  = 15 * time.Second
	heartbeat = 20 * time.Millisecond
)

// rig is the API over a real NATS server. The test plays the replicators.
type rig struct {
	t     *testing.T
	conn  *nats.Conn
	wire  *transport.Connection
	topic protocol.Topic
	api   *API

	mu     sync.Mutex
	asked  []messages.Message
	answer func(n int, question messages.Message) messages.Message // to the nth question; nil is lost
	damage map[protocol.Partition]messages.ReadOnly
}

func start(t *testing.T) *rig {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	r := &rig{t: t, conn: conn, wire: transport.NewConnection(conn, zap.NewNop())}
	r.answer = func(_ int, q messages.Message) messages.Message { return answerTo(q, protocol.CodeOK) }
	registry, err := topics.Open(t.Context(), conn, js)
	r.must(err)
	r.topic, err = registry.Create(t.Context(), protocol.TopicConfig{Name: "orders", Partitions: 2})
	r.must(err)
	named, err := producerregistry.Open(t.Context(), conn, js)
	r.must(err)
	server, err := api.NewServer(conn, zap.NewNop(), func(api.Kind, protocol.Code) {})
	r.must(err)
	r.api = New(Config{
		Wire: r.wire, Topics: registry, Registry: named, Heartbeat: heartbeat,
		Asker: 5, Damage: r.damaged,
	})
	for n := range r.topic.Partitions {
		_, err = r.wire.Subscribe(messages.ReplicatorSubject(r.topic.Partition(n)), "", r.question)
		r.must(err)
	}
	r.must(r.api.Serve(server))
	r.must(conn.Flush())
	t.Cleanup(func() {
		r.must(server.Stop())
	})
	return r
}

func (r *rig) question(m messages.Message) {
	r.mu.Lock()
	r.asked = append(r.asked, m)
	answer := r.answer(len(r.asked), m)
	r.mu.Unlock()
	if answer != nil && !r.api.Receive(answer) {
		r.t.Errorf("%T is not taken", answer)
	}
}

func (r *rig) damaged() map[protocol.Partition]messages.ReadOnly {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.damage
}

// questions returns what was asked, and forgets it.
func (r *rig) questions() []messages.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// distinct returns what was asked, and forgets it. What was asked again, because an answer came late, is in it
// once.
func (r *rig) distinct() (asked []messages.Message) {
	for _, q := range r.questions() {
		if !slices.ContainsFunc(asked, func(a messages.Message) bool { return reflect.DeepEqual(a, q) }) {
			asked = append(asked, q)
		}
	}
	return asked
}

// answerTo returns the answer of a replicator that knows one producer.
func answerTo(question messages.Message, code protocol.Code) messages.Message {
	switch q := question.(type) {
	case messages.FenceProducer:
		m := messages.ProducerFenced{Partition: q.Partition, Asker: q.Asker, Fence: q.Fence.ProducerEpoch, Code: code}
		m.Producer.ProducerFence = q.Fence
		m.Producer.HasLast, m.Producer.Last = true, 10*(q.Partition.Number+1)
		return m
	case messages.ListProducers:
		m := messages.Producers{Partition: q.Partition, Asker: q.Asker, Request: q.Request, Total: 1}
		k := messages.KnownProducer{HasLast: true, Last: 10, Age: 7}
		k.ProducerFence = messages.ProducerFence{ProducerID: 3, ProducerEpoch: 1, Name: "feed"}
		m.Producers = append(m.Producers, k)
		return m
	}
	return nil
}

// request sends a request and decodes its answer.
func (r *rig) request(name string, body, into any) *protocol.Error {
	r.t.Helper()
	data, err := json.Marshal(body)
	r.must(err)
	answer, err := r.conn.Request(protocol.ProducerAPI+name, data, patience)
	r.must(err)
	var response protocol.ErrorResponse
	r.must(json.Unmarshal(answer.Data, &response))
	if response.Error == nil {
		r.must(json.Unmarshal(answer.Data, into))
	}
	return response.Error
}

func (r *rig) init(request protocol.ProducerInitRequest) (response protocol.ProducerInitResponse, err *protocol.Error) {
	r.t.Helper()
	err = r.request("init", request, &response)
	return response, err
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func positions(r protocol.ProducerInitResponse) (text []string) {
	for _, p := range r.Positions {
		last := "none"
		if p.LastSequence != nil {
			last = fmt.Sprint(*p.LastSequence)
		}
		text = append(text, fmt.Sprintf("%s/%d=%s,%t", p.Topic, p.Partition, last, p.Expired))
	}
	return text
}

func TestInitFencesEveryPartition(t *testing.T) {
	r := start(t)
	first, err := r.init(protocol.ProducerInitRequest{Name: "feed", Topics: []string{"orders", "orders"}})
	if err != nil || first.ProducerID == 0 || first.ProducerEpoch != 0 || fmt.Sprint(positions(first)) != "[orders/0=10,false orders/1=20,false]" {
		t.Fatalf("answer %+v, %v", first, err)
	}
	for _, q := range r.questions() {
		if f := q.(messages.FenceProducer); f.IfKnown || f.Asker != 5 || f.Fence.Name != "feed" {
			t.Errorf("asked %+v", f)
		}
	}
	r.answer = func(_ int, q messages.Message) messages.Message { return answerTo(q, protocol.CodePositionExpired) }
	second, err := r.init(protocol.ProducerInitRequest{Name: "feed", Topics: []string{"orders"}})
	if err != nil || second.ProducerID != first.ProducerID || second.ProducerEpoch != 1 || !second.Positions[0].Expired {
		t.Fatalf("answer %+v, %v", second, err)
	}
	for _, q := range r.questions() {
		if f := q.(messages.FenceProducer); !f.IfKnown {
			t.Errorf("a topic that was fenced before is asked %+v", f)
		}
	}
}

func TestLostQuestionIsRepeated(t *testing.T) {
	r := start(t)
	r.answer = func(n int, q messages.Message) messages.Message {
		if n <= 3 {
			return nil
		}
		return answerTo(q, protocol.CodeOK)
	}
	if _, err := r.init(protocol.ProducerInitRequest{Name: "feed", Topics: []string{"orders"}}); err != nil {
		t.Fatal(err)
	}
	if n := len(r.questions()); n < 5 {
		t.Errorf("%d questions", n)
	}
}

func TestInitExceedsKnownEpoch(t *testing.T) {
	r := start(t)
	r.answer = func(_ int, q messages.Message) messages.Message {
		if f := q.(messages.FenceProducer); f.Fence.ProducerEpoch <= 7 {
			m := answerTo(q, protocol.CodeInvalidEpoch).(messages.ProducerFenced)
			m.Producer.ProducerEpoch = 7
			return m
		}
		return answerTo(q, protocol.CodeOK)
	}
	if got, err := r.init(protocol.ProducerInitRequest{Name: "feed", Topics: []string{"orders"}}); err != nil || got.ProducerEpoch != 8 {
		t.Fatalf("answer %+v, %v", got, err)
	}
}

func TestInitWithoutANameAsksNoReplicator(t *testing.T) {
	r := start(t)
	one, err := r.init(protocol.ProducerInitRequest{})
	two, again := r.init(protocol.ProducerInitRequest{})
	if err != nil || again != nil || one.ProducerID == 0 || one.ProducerID == two.ProducerID || len(r.questions()) != 0 {
		t.Fatalf("answers %+v, %v and %+v, %v", one, err, two, again)
	}
}

func TestDamagedPartitionEndsTheWait(t *testing.T) {
	r := start(t)
	r.answer = func(int, messages.Message) messages.Message { return nil }
	r.damage = map[protocol.Partition]messages.ReadOnly{r.topic.Partition(1): {Partition: r.topic.Partition(1), Damage: "entry 7 is lost"}}
	for name, ask := range map[string]func() *protocol.Error{
		"init": func() *protocol.Error {
			_, err := r.init(protocol.ProducerInitRequest{Name: "feed", Topics: []string{"orders"}})
			return err
		},
		"list": func() *protocol.Error {
			return r.request("list", protocol.ProducerListRequest{Topic: "orders", Partition: 1}, nil)
		},
	} {
		if err := ask(); err == nil || err.Code != protocol.CodePartitionDamaged || !strings.Contains(err.Detail, "entry 7 is lost") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestListAndInfoReturnWhatReplicatorsKnow(t *testing.T) {
	r := start(t)
	var list protocol.ProducerListResponse
	if err := r.request("list", protocol.ProducerListRequest{Topic: "orders", Partition: 1}, &list); err != nil || len(list.Producers) != 1 ||
		list.Total != 1 || list.Producers[0].Partition != 1 || list.Producers[0].Name != "feed" || *list.Producers[0].LastSequence != 10 {
		t.Errorf("list %+v, %v", list, err)
	}
	if q := r.distinct(); len(q) != 1 || q[0].(messages.ListProducers).Limit != protocol.MaxListedProducers {
		t.Errorf("asked %+v", q)
	}
	var info protocol.ProducerInfoResponse
	if err := r.request("info", protocol.ProducerInfoRequest{Topic: "orders", ProducerID: 3}, &info); err != nil || len(info.Producers) != 2 {
		t.Errorf("info %+v, %v", info, err)
	}
	named, err := r.init(protocol.ProducerInitRequest{Name: "feed", Topics: []string{"orders"}})
	r.questions()
	if err == nil {
		err = r.request("info", protocol.ProducerInfoRequest{Topic: "orders", Name: "feed"}, &info)
	}
	if q := r.distinct(); err != nil || len(q) != 2 || q[0].(messages.ListProducers).Only != named.ProducerID {
		t.Errorf("asked %+v, %v", q, err)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	r := start(t)
	for name, c := range map[string]struct {
		name string
		body any
		want protocol.Code
	}{
		"init of an unknown topic":     {"init", protocol.ProducerInitRequest{Name: "feed", Topics: []string{"none"}}, protocol.CodeUnknownTopic},
		"init without topics":          {"init", protocol.ProducerInitRequest{Name: "feed"}, protocol.CodeInvalidRequest},
		"unknown field":                {"init", map[string]int{"x": 1}, protocol.CodeInvalidRequest},
		"list of an unknown topic":     {"list", protocol.ProducerListRequest{Topic: "none"}, protocol.CodeUnknownTopic},
		"list of an unknown partition": {"list", protocol.ProducerListRequest{Topic: "orders", Partition: 2}, protocol.CodeUnknownTopic},
		"list without end":             {"list", protocol.ProducerListRequest{Topic: "orders", Limit: -1}, protocol.CodeInvalidRequest},
		"list before the first":        {"list", protocol.ProducerListRequest{Topic: "orders", After: -1}, protocol.CodeInvalidRequest},
		"list with an unknown field":   {"list", map[string]int{"x": 1}, protocol.CodeInvalidRequest},
		"info of nothing":              {"info", protocol.ProducerInfoRequest{Topic: "orders"}, protocol.CodeInvalidRequest},
		"info of an unknown name":      {"info", protocol.ProducerInfoRequest{Topic: "orders", Name: "none"}, protocol.CodeUnknownName},
		"info of an unknown topic":     {"info", protocol.ProducerInfoRequest{Topic: "none", ProducerID: 1}, protocol.CodeUnknownTopic},
		"info with an unknown field":   {"info", map[string]int{"x": 1}, protocol.CodeInvalidRequest},
	} {
		if err := r.request(c.name, c.body, nil); err == nil || err.Code != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want.Kind().Name)
		}
	}
}

func TestRequestsBeyondLimitAreRejected(t *testing.T) {
	r := start(t)
	r.answer = func(int, messages.Message) messages.Message { return nil }
	answers := make(chan *nats.Msg, requestsAtOnce+1)
	inbox := nats.NewInbox()
	sub, err := r.conn.ChanSubscribe(inbox, answers)
	r.must(err)
	for range requestsAtOnce + 1 {
		r.must(r.conn.PublishRequest(protocol.ProducerAPI+"list", inbox, []byte(`{"topic":"orders"}`)))
	}
	wantCode := func(want protocol.Code) {
		t.Helper()
		select {
		case m := <-answers:
			var response protocol.ErrorResponse
			if err := json.Unmarshal(m.Data, &response); err != nil || response.Error == nil || response.Error.Code != want {
				t.Fatalf("answer %s, want %s", m.Data, want.Kind().Name)
			}
		case <-time.After(patience):
			t.Fatal("no answer")
		}
	}
	wantCode(protocol.CodeOverloaded)
	r.must(r.api.server.Stop())
	for range requestsAtOnce {
		wantCode(protocol.CodeUnavailable)
	}
	unserved := func(context.Context, []byte) (any, error) {
		t.Error("a request is served after the end")
		return nil, nil
	}
	r.api.serveAside(&nats.Msg{Sub: sub, Reply: inbox}, api.Producers, unserved)
	wantCode(protocol.CodeUnavailable)
}

func TestOtherMessagesAreNotTaken(t *testing.T) {
	if New(Config{}).Receive(messages.Announced{}) {
		t.Error("a message of the produce path is taken")
	}
}

func TestRegistryCannotBeAskedForAnythingElse(t *testing.T) {
	if got := fmt.Sprintf("%T", New(Config{}).register(context.Background(), 7)); got != "producerinit.Failed" {
		t.Errorf("%s", got)
	}
}
