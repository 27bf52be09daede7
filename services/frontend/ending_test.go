package frontend

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/ownership"
	"laneway.dev/internal/supervisor"
	"laneway.dev/pkg/protocol"
)

func TestOnlyTheEndOfADeletedTopicIsFinal(t *testing.T) {
	for name, c := range map[string]struct {
		cause, replaced error
		want            protocol.Code
	}{
		"deleted":              {supervisor.ErrDeleted, nil, protocol.CodeUnknownTopic},
		"deleted and replaced": {supervisor.ErrDeleted, ownership.ErrReplaced, protocol.CodeUnknownTopic},
		"replaced":             {nil, ownership.ErrReplaced, protocol.CodeNotOwner},
		"replaced, stopping":   {supervisor.ErrStopped, ownership.ErrReplaced, protocol.CodeNotOwner},
		"stopping":             {supervisor.ErrStopped, nil, protocol.CodeNotOwner},
		"renewed":              {supervisor.ErrRenewed, nil, protocol.CodeNotOwner},
	} {
		end := endOf(c.cause, c.replaced)
		if end.Code != c.want || end.Retryable() != (c.want != protocol.CodeUnknownTopic) {
			t.Errorf("%s: %v", name, end)
		}
	}
}

func TestMessageForAnotherTopicOfTheNameIsRefused(t *testing.T) {
	topic := protocol.Topic{TopicConfig: protocol.TopicConfig{Name: "orders"}, ID: 1<<63 + 5}
	for text, want := range map[string]protocol.Code{
		"": protocol.CodeOK, strconv.FormatUint(topic.ID, 10): protocol.CodeOK, "7": protocol.CodeUnknownTopic,
		"x": protocol.CodeHeaderInvalid, "-1": protocol.CodeHeaderInvalid,
	} {
		header := nats.Header{}
		if text != "" {
			header[protocol.HeaderTopicID] = []string{text}
		}
		got := protocol.CodeOK
		if err := checkTopicID(header, topic); err != nil {
			got = err.Code
		}
		if got != want {
			t.Errorf("topic id %q: code %d, want %d", text, got, want)
		}
	}
}
