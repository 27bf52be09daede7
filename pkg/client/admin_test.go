package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

func TestTopicRequests(t *testing.T) {
	c, f := setup(t, 2)
	answer := func(action string, response any, seen *string) {
		f.subscribe(protocol.TopicAPI+action, func(m *nats.Msg) {
			*seen = string(m.Data)
			data, _ := json.Marshal(response)
			respond(m, data)
		})
	}
	var created, updated, listed, deleted string
	answer("update", protocol.TopicResponse{Topic: &f.topic, Previous: &f.topic}, &updated)
	answer("create", protocol.TopicResponse{Topic: &f.topic}, &created)
	answer("list", protocol.TopicListResponse{Topics: []protocol.Topic{f.topic}}, &listed)
	answer("delete", protocol.TopicResponse{}, &deleted)

	topic, err := c.Admin().CreateTopic(bounded(t), protocol.TopicConfig{Name: f.topic.Name, Partitions: 2})
	if err != nil || !cmp.Equal(topic, f.topic) {
		t.Fatalf("created %+v: %v", topic, err)
	}
	response, err := c.Admin().UpdateTopic(bounded(t), protocol.TopicUpdate{Name: f.topic.Name, MaxProducers: new(7), Subjects: []string{}})
	if err != nil || !cmp.Equal(*response.Topic, f.topic) || !cmp.Equal(*response.Previous, f.topic) {
		t.Fatalf("updated %+v: %v", response, err)
	}
	topics, err := c.Admin().ListTopics(bounded(t))
	if err != nil || !cmp.Equal(topics, []protocol.Topic{f.topic}) {
		t.Fatalf("listed %+v: %v", topics, err)
	}
	topic, _, err = c.Admin().TopicInfo(bounded(t), f.topic.Name)
	if err != nil || !cmp.Equal(topic, f.topic) {
		t.Fatalf("info %+v: %v", topic, err)
	}
	if err := c.Admin().DeleteTopic(bounded(t), f.topic.Name); err != nil {
		t.Fatal(err)
	}
	name := f.topic.Name
	for got, want := range map[string]string{
		created: `{"name":"` + name + `","partitions":2}`, updated: `{"name":"` + name + `","max_producers":7,"subjects":[]}`, listed: `{}`, deleted: `{"name":"` + name + `"}`,
	} {
		if got != want {
			t.Errorf("requested %s, want %s", got, want)
		}
	}
}

func TestTruncationIsRepeatedUntilItIsDone(t *testing.T) {
	c, f := setup(t, 2)
	requests := []string{}
	f.subscribe(protocol.TopicAPI+"truncate", func(m *nats.Msg) {
		requests = append(requests, string(m.Data))
		data, _ := json.Marshal(protocol.TopicTruncateResponse{Partition: 1, StartOffset: 9})
		switch len(requests) {
		case 1:
			data = protocol.EncodeErrorResponse(protocol.NewError(protocol.CodeUnavailable, "not yet"))
		case 3:
			data = protocol.EncodeErrorResponse(protocol.NewError(protocol.CodeInvalidRequest, "above the end"))
		}
		respond(m, data)
	})
	if start, err := c.Admin().TruncateTopic(bounded(t), f.topic.Name, 1, 7); err != nil || start != 9 {
		t.Errorf("start %d: %v", start, err)
	}
	if _, err := c.Admin().TruncateTopic(bounded(t), f.topic.Name, 1, 7); !errors.Is(err, protocol.NewError(protocol.CodeInvalidRequest, "")) {
		t.Errorf("error %v", err)
	}
	want := `{"name":"` + f.topic.Name + `","partition":1,"before":7}`
	if diff := cmp.Diff([]string{want, want, want}, requests); diff != "" {
		t.Error(diff)
	}
}

func TestTimeInTheFutureHasNoOffset(t *testing.T) {
	c, f := setup(t, 1)
	now := time.Now()
	for _, at := range []time.Time{now.Add(2 * time.Minute), now.AddDate(1, 0, 0)} {
		offset, err := c.Admin().OffsetAt(bounded(t), f.topic.Name, 0, at)
		if known := protocol.AsError(err); err == nil || known.Code != protocol.CodeInvalidRequest || !strings.Contains(known.Detail, "is in the future") {
			t.Errorf("%s: offset %d, error %v", at, offset, err)
		}
	}
}

func TestCatalogueErrorIsReturned(t *testing.T) {
	c, _ := setup(t, 1)
	_, _, err := c.Admin().TopicInfo(context.Background(), "nothing")
	known, ok := errors.AsType[*protocol.Error](err)
	if !ok || known.Code != protocol.CodeUnknownTopic || known.Detail != `"nothing"` {
		t.Fatalf("error %v", err)
	}
}

func TestUnservedRequestNamesCause(t *testing.T) {
	c, _ := setup(t, 1)
	if _, err := c.Admin().ListTopics(bounded(t)); !errors.Is(err, nats.ErrNoResponders) {
		t.Fatalf("error %v", err)
	}
}

func TestInvalidAPIAnswerIsAnError(t *testing.T) {
	c, f := setup(t, 1)
	f.subscribe(protocol.TopicAPI+"list", func(m *nats.Msg) { respond(m, []byte("x")) })
	f.subscribe(protocol.TopicAPI+"create", func(m *nats.Msg) { respond(m, []byte("{}")) })
	internal := protocol.NewError(protocol.CodeInternal, "")
	if _, err := c.Admin().ListTopics(bounded(t)); !errors.Is(err, internal) {
		t.Errorf("error %v", err)
	}
	if _, err := c.Admin().CreateTopic(bounded(t), protocol.TopicConfig{}); !errors.Is(err, internal) {
		t.Errorf("error %v", err)
	}
}

func TestListsProducersByPage(t *testing.T) {
	c, f := setup(t, 2)
	producers := []protocol.ProducerInfo{{Partition: 1, ProducerID: 3}, {Partition: 1, ProducerID: 5, Name: "n"}, {Partition: 1, ProducerID: 9}}
	var asked []protocol.ProducerListRequest
	f.subscribe(protocol.ProducerAPI+"list", func(m *nats.Msg) {
		var r protocol.ProducerListRequest
		_ = json.Unmarshal(m.Data, &r)
		asked = append(asked, r)
		data, _ := json.Marshal(protocol.ProducerListResponse{Producers: producers[:2], Total: 3, More: true})
		if r.After == 5 {
			data, _ = json.Marshal(protocol.ProducerListResponse{Producers: producers[2:], Total: 3})
		}
		respond(m, data)
	})
	var got []protocol.ProducerInfo
	for producer, err := range c.Admin().ListProducers(bounded(t), f.topic.Name, 1) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, producer)
	}
	if diff := cmp.Diff(producers, got); diff != "" {
		t.Error(diff)
	}
	first := protocol.ProducerListRequest{Topic: f.topic.Name, Partition: 1}
	second := first
	second.After = 5
	if diff := cmp.Diff([]protocol.ProducerListRequest{first, second}, asked); diff != "" {
		t.Error(diff)
	}
	for _, err := range c.Admin().ListProducers(bounded(t), f.topic.Name, 1) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if len(asked) != 3 {
		t.Errorf("%d requests", len(asked))
	}
}

func TestFailedListEndsWithError(t *testing.T) {
	c, f := setup(t, 1)
	f.subscribe(protocol.ProducerAPI+"list", func(m *nats.Msg) { f.refuse(m, protocol.NewError(protocol.CodeUnavailable, "")) })
	n := 0
	for _, err := range c.Admin().ListProducers(bounded(t), f.topic.Name, 0) {
		if n++; !errors.Is(err, protocol.NewError(protocol.CodeUnavailable, "")) {
			t.Errorf("error %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d items", n)
	}
}

func TestProducerInfoByName(t *testing.T) {
	c, f := setup(t, 2)
	want := []protocol.ProducerInfo{{Partition: 1, ProducerID: 5, Name: "n", LastSequence: new(int32(8)), AgeMS: 20}}
	var asked string
	f.subscribe(protocol.ProducerAPI+"info", func(m *nats.Msg) {
		asked = string(m.Data)
		data, _ := json.Marshal(protocol.ProducerInfoResponse{Producers: want})
		respond(m, data)
	})
	got, err := c.Admin().ProducerInfo(bounded(t), protocol.ProducerInfoRequest{Topic: f.topic.Name, Name: "n"})
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if asked != `{"topic":"`+f.topic.Name+`","name":"n"}` {
		t.Errorf("requested %s", asked)
	}
}
