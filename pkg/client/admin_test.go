package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/messages"
)

func TestTheTopicAPISpeaksTheShapesOfMessages(t *testing.T) {
	c, f := setup(t, 2)
	answer := func(action string, response any, seen *string) {
		f.subscribe(messages.TopicAPI+action, func(m *nats.Msg) {
			*seen = string(m.Data)
			data, _ := json.Marshal(response)
			respond(m, data)
		})
	}
	var created, listed, deleted string
	answer("create", messages.TopicResponse{Topic: &f.topic}, &created)
	answer("list", messages.TopicListResponse{Topics: []messages.Topic{f.topic}}, &listed)
	answer("delete", messages.TopicResponse{}, &deleted)

	topic, err := c.CreateTopic(bounded(t), messages.TopicConfig{Name: f.topic.Name, Partitions: 2})
	if err != nil || !cmp.Equal(topic, f.topic) {
		t.Fatalf("created %+v: %v", topic, err)
	}
	topics, err := c.ListTopics(bounded(t))
	if err != nil || !cmp.Equal(topics, []messages.Topic{f.topic}) {
		t.Fatalf("listed %+v: %v", topics, err)
	}
	topic, _, err = c.TopicInfo(bounded(t), f.topic.Name)
	if err != nil || !cmp.Equal(topic, f.topic) {
		t.Fatalf("info %+v: %v", topic, err)
	}
	if err := c.DeleteTopic(bounded(t), f.topic.Name); err != nil {
		t.Fatal(err)
	}
	name := f.topic.Name
	for got, want := range map[string]string{
		created: `{"name":"` + name + `","partitions":2}`, listed: `{}`, deleted: `{"name":"` + name + `"}`,
	} {
		if got != want {
			t.Errorf("asked with %s, want %s", got, want)
		}
	}
}

func TestAnErrorOfTheCatalogueComesThrough(t *testing.T) {
	c, _ := setup(t, 1)
	_, _, err := c.TopicInfo(context.Background(), "nothing")
	known, ok := errors.AsType[*messages.Error](err)
	if !ok || known.Code != messages.CodeUnknownTopic || known.Detail != `"nothing"` {
		t.Fatalf("error %v", err)
	}
}

func TestWithoutLanewayTheAPISaysWhatToLookFor(t *testing.T) {
	c, _ := setup(t, 1)
	if _, err := c.ListTopics(bounded(t)); !errors.Is(err, nats.ErrNoResponders) {
		t.Fatalf("error %v", err)
	}
}

func TestAnAnswerThatIsNoJSONIsAnError(t *testing.T) {
	c, f := setup(t, 1)
	f.subscribe(messages.TopicAPI+"list", func(m *nats.Msg) { respond(m, []byte("x")) })
	f.subscribe(messages.TopicAPI+"create", func(m *nats.Msg) { respond(m, []byte("{}")) })
	internal := messages.NewError(messages.CodeInternal, "")
	if _, err := c.ListTopics(bounded(t)); !errors.Is(err, internal) {
		t.Errorf("error %v", err)
	}
	if _, err := c.CreateTopic(bounded(t), messages.TopicConfig{}); !errors.Is(err, internal) {
		t.Errorf("error %v", err)
	}
}
