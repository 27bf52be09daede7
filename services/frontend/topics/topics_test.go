package topics

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"laneway.dev/internal/embedded/embeddedtest"
	"laneway.dev/internal/history"
	"laneway.dev/internal/partitionlog/logtest"
	"laneway.dev/internal/topics"
	"laneway.dev/pkg/messages"
	"laneway.dev/pkg/protocol"
	"laneway.dev/services/frontend/api"
)

const patience = 15 * time.Second

// rig is the API over a real NATS server.
type rig struct {
	t        *testing.T
	conn     *nats.Conn
	js       jetstream.JetStream
	registry *topics.Registry
	watch    *Watch
	logged   *observer.ObservedLogs
	bound    []string
	ready    func(context.Context, protocol.Partition) error
	updated  func(context.Context, protocol.Partition, uint64) error
	damage   map[protocol.Partition]messages.ReadOnly
	segments func(context.Context, protocol.Partition, messages.History) (history.Size, error)
}

func start(t *testing.T) *rig {
	t.Helper()
	conn, js := embeddedtest.Start(t)
	registry, err := topics.Open(t.Context(), conn, js)
	if err != nil {
		t.Fatal(err)
	}
	core, logged := observer.New(zapcore.InfoLevel)
	r := &rig{t: t, conn: conn, js: js, registry: registry, logged: logged, ready: func(context.Context, protocol.Partition) error { return nil }}
	r.updated = func(context.Context, protocol.Partition, uint64) error { return nil }
	r.watch = NewWatch(registry, zap.New(core), func() []string { return r.bound })
	server, err := api.NewServer(conn, zap.NewNop(), func(api.Kind, protocol.Code) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	err = Serve(Config{
		Conn: conn, JS: js, Server: server, Registry: registry, Watch: r.watch,
		Ready: func(ctx context.Context, p protocol.Partition) error { return r.ready(ctx, p) },
		Updated: func(ctx context.Context, p protocol.Partition, revision uint64) error {
			return r.updated(ctx, p, revision)
		},
		Damage: func() map[protocol.Partition]messages.ReadOnly { return r.damage },
		Segments: func(ctx context.Context, p protocol.Partition, h messages.History) (history.Size, error) {
			return r.segments(ctx, p, h)
		},
	})
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// request sends a request and decodes its answer. It returns the code of an error.
func (r *rig) request(name string, body, into any) (protocol.Code, string) {
	r.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := r.conn.Request(protocol.TopicAPI+name, data, patience)
	if err != nil {
		r.t.Fatal(err)
	}
	var response protocol.ErrorResponse
	if err := json.Unmarshal(answer.Data, &response); err != nil {
		r.t.Fatal(err)
	}
	if response.Error != nil {
		return response.Error.Code, response.Error.Error()
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		r.t.Fatal(err)
	}
	return protocol.CodeOK, ""
}

func (r *rig) create(config protocol.TopicConfig) protocol.Topic {
	r.t.Helper()
	var created protocol.TopicResponse
	if code, text := r.request("create", config, &created); code != protocol.CodeOK {
		r.t.Fatal(text)
	}
	return *created.Topic
}

func TestTopicIsCreatedListedShownAndDeleted(t *testing.T) {
	r := start(t)
	var waited []int32
	r.ready = func(_ context.Context, p protocol.Partition) error { waited = append(waited, p.Number); return nil }
	topic := r.create(protocol.TopicConfig{Name: "orders", Partitions: 2})
	if len(waited) != 2 {
		t.Errorf("waited for partitions %v", waited)
	}
	var list protocol.TopicListResponse
	if _, text := r.request("list", struct{}{}, &list); len(list.Topics) != 1 || list.Topics[0].ID != topic.ID || len(list.Warnings) != 0 {
		t.Errorf("list %+v %s", list, text)
	}
	var info protocol.TopicResponse
	if _, text := r.request("info", protocol.TopicRequest{Name: "orders"}, &info); len(info.Partitions) != 2 || info.Partitions[1].Partition != 1 ||
		info.Partitions[1].Entries == 0 && info.Partitions[1].EndOffset != 0 || info.Partitions[1].Damage != "" {
		t.Errorf("info %+v %s", info, text)
	}
	if code, text := r.request("delete", protocol.TopicRequest{Name: "orders"}, &info); code != protocol.CodeOK {
		t.Error(text)
	}
	for _, name := range []string{"info", "delete"} {
		if code, text := r.request(name, protocol.TopicRequest{Name: "orders"}, &info); code != protocol.CodeUnknownTopic {
			t.Errorf("%s of a deleted topic: %s", name, text)
		}
	}
}

func TestTopicsAreCreatedAtTheSameTime(t *testing.T) {
	r := start(t)
	var both sync.WaitGroup
	both.Add(2)
	r.ready = func(context.Context, protocol.Partition) error {
		both.Done()
		both.Wait()
		return nil
	}
	var creations sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		creations.Go(func() {
			if topic := r.create(protocol.TopicConfig{Name: name}); topic.Name != name {
				t.Errorf("topic %+v", topic)
			}
		})
	}
	creations.Wait()
}

func TestTopicThatIsNotServedYetIsReported(t *testing.T) {
	r := start(t)
	r.ready = func(context.Context, protocol.Partition) error { return errors.New("no confirmation") }
	if code, text := r.request("create", protocol.TopicConfig{Name: "orders"}, nil); code != protocol.CodeUnavailable ||
		!strings.Contains(text, "is a sequencer running? no confirmation") {
		t.Errorf("%s", text)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	r := start(t)
	r.create(protocol.TopicConfig{Name: "orders"})
	for name, c := range map[string]struct {
		name string
		body any
		want protocol.Code
	}{
		"create with an unknown field": {"create", map[string]int{"x": 1}, protocol.CodeInvalidRequest},
		"create with a bad name":       {"create", protocol.TopicConfig{Name: "a.b"}, protocol.CodeInvalidTopicName},
		"create twice":                 {"create", protocol.TopicConfig{Name: "orders", Partitions: 3}, protocol.CodeTopicExists},
		"create with large records":    {"create", protocol.TopicConfig{Name: "big", MaxRecordBytes: 1 << 30}, protocol.CodeInvalidRequest},
		"info with an unknown field":   {"info", map[string]int{"x": 1}, protocol.CodeInvalidRequest},
		"delete with an unknown field": {"delete", map[string]int{"x": 1}, protocol.CodeInvalidRequest},
	} {
		if code, text := r.request(c.name, c.body, nil); code != c.want {
			t.Errorf("%s: %s, want %s", name, text, c.want.Kind().Name)
		}
	}
}

func TestDamageIsShown(t *testing.T) {
	r := start(t)
	topic := r.create(protocol.TopicConfig{Name: "orders"})
	r.damage = map[protocol.Partition]messages.ReadOnly{topic.Partition(0): {Partition: topic.Partition(0), Damage: "the stream is gone"}}
	logtest.Of(t, r.conn, topic.Partition(0)).LoseStream()
	var info protocol.TopicResponse
	if _, text := r.request("info", protocol.TopicRequest{Name: "orders"}, &info); len(info.Partitions) != 1 || info.Partitions[0].Damage != "the stream is gone" {
		t.Errorf("info %+v %s", info, text)
	}
	r.damage = nil
	if code, text := r.request("info", protocol.TopicRequest{Name: "orders"}, &info); code != protocol.CodeUnavailable {
		t.Errorf("info of a log that cannot be read: %s", text)
	}
}

func TestStreamsOnLanewaySubjectsAreReported(t *testing.T) {
	r := start(t)
	topic := r.create(protocol.TopicConfig{Name: "shop", Subjects: []string{"shop.>"}})
	r.bound = topic.Subjects
	if _, err := r.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"shop.eu"}}); err != nil {
		t.Fatal(err)
	}
	r.watch.look(t.Context(), time.Now())
	r.watch.look(t.Context(), time.Now())
	if n := r.watch.Overlaps(); n != 1 {
		t.Fatalf("%d overlaps", n)
	}
	var info protocol.TopicResponse
	if _, text := r.request("info", protocol.TopicRequest{Name: "shop"}, &info); len(info.Warnings) != 1 || !strings.Contains(info.Warnings[0], "OTHER") {
		t.Errorf("warnings %v %s", info.Warnings, text)
	}
	if n := r.logged.FilterMessageSnippet("OTHER").Len(); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
	if err := r.js.DeleteStream(t.Context(), "OTHER"); err != nil {
		t.Fatal(err)
	}
	r.watch.look(t.Context(), time.Now())
	if n := r.logged.FilterMessageSnippet("solved: ").Len(); n != 1 || r.watch.Overlaps() != 0 {
		t.Errorf("the end is logged %d times; %d overlaps", n, r.watch.Overlaps())
	}
}

func TestTopicWithoutItsRecordIsReported(t *testing.T) {
	r := start(t)
	r.create(protocol.TopicConfig{Name: "orders"})
	kv, err := r.js.KeyValue(t.Context(), "LANEWAY_TOPICS")
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Purge(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.watch.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for deadline := time.Now().Add(patience); r.watch.Survey().Err() == nil && time.Now().Before(deadline); {
		<-pace.C
	}
	var list protocol.TopicListResponse
	if _, text := r.request("list", struct{}{}, &list); len(list.Warnings) != 1 || !strings.Contains(list.Warnings[0], "orders") {
		t.Errorf("warnings %v %s", list.Warnings, text)
	}
	if code, text := r.request("info", protocol.TopicRequest{Name: "orders"}, nil); code != protocol.CodeLogWithoutTopic {
		t.Errorf("info: %s", text)
	}
}

func TestAnUpdateIsAnsweredWhenItIsInForce(t *testing.T) {
	r := start(t)
	r.create(protocol.TopicConfig{Name: "orders", Partitions: 3})
	var asked []protocol.Partition
	r.updated = func(_ context.Context, p protocol.Partition, revision uint64) error {
		if revision != 1 {
			t.Errorf("revision %d is awaited, want 1", revision)
		}
		asked = append(asked, p)
		return nil
	}
	var answer protocol.TopicResponse
	update := protocol.TopicUpdate{Name: "orders", MaxRecordBytes: new(1000)}
	if code, text := r.request("update", update, &answer); code != protocol.CodeOK {
		t.Fatal(text)
	}
	if answer.Topic.MaxRecordBytes != 1000 || answer.Topic.Revision != 1 ||
		answer.Previous.MaxRecordBytes != protocol.DefaultMaxRecordBytes || answer.Previous.Revision != 0 {
		t.Errorf("the answer has %+v, and before %+v", answer.Topic, answer.Previous)
	}
	if len(asked) != 3 || asked[2] != answer.Topic.Partition(2) {
		t.Errorf("%v were awaited", asked)
	}
	// The same once more changes nothing and succeeds.
	var again protocol.TopicResponse
	if code, text := r.request("update", update, &again); code != protocol.CodeOK || again.Topic.Revision != again.Previous.Revision {
		t.Errorf("the same update once more: %s, %+v", text, again)
	}
	r.updated = func(context.Context, protocol.Partition, uint64) error {
		return errors.New("the registry is not watched")
	}
	update.MaxRecordBytes = new(2000)
	code, text := r.request("update", update, nil)
	if code != protocol.CodeUnavailable || !strings.Contains(text, "was updated, but") {
		t.Errorf("an update that has not arrived: %s", text)
	}
}

func TestUpdatesAreRefusedWithTheReason(t *testing.T) {
	r := start(t)
	r.create(protocol.TopicConfig{Name: "orders", Subjects: []string{"orders.>"}})
	r.create(protocol.TopicConfig{Name: "bills", Subjects: []string{"bills.>"}})
	for body, want := range map[string]struct {
		code protocol.Code
		text string
	}{
		`{"name":"nothing","max_producers":3}`:          {protocol.CodeUnknownTopic, "nothing"},
		`{"name":"orders","partitions":2}`:              {protocol.CodeInvalidRequest, "partitions and replicas of a topic cannot be changed"},
		`{"name":"orders","replicas":2}`:                {protocol.CodeInvalidRequest, "partitions and replicas of a topic cannot be changed"},
		`{"name":"orders","max_records":2}`:             {protocol.CodeInvalidRequest, "max_records"},
		`{"name":"orders","max_record_bytes":9000000}`:  {protocol.CodeInvalidRequest, "max_record_bytes is 9000000"},
		`{"name":"orders","subjects":["bills.new"]}`:    {protocol.CodeSubjectOverlap, "bills.new overlaps with bills.> of topic bills"},
		`{"name":"orders","producer_expiry_ms":599999}`: {protocol.CodeInvalidRequest, "producer_expiry_ms is 599999"},
	} {
		if code, text := r.request("update", json.RawMessage(body), nil); code != want.code || !strings.Contains(text, want.text) {
			t.Errorf("%s: %s, want %s", body, text, want.text)
		}
	}
}
