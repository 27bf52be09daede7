package frontend

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/internal/epoch"
	"laneway.dev/internal/partitions"
	"laneway.dev/pkg/messages"
)

func TestOnlyTheEndOfADeletedTopicIsFinal(t *testing.T) {
	for name, c := range map[string]struct {
		cause, replaced error
		want            messages.Code
	}{
		"deleted":              {partitions.ErrDeleted, nil, messages.CodeUnknownTopic},
		"deleted and replaced": {partitions.ErrDeleted, epoch.ErrReplaced, messages.CodeUnknownTopic},
		"replaced":             {nil, epoch.ErrReplaced, messages.CodeNotOwner},
		"replaced, stopping":   {partitions.ErrStopped, epoch.ErrReplaced, messages.CodeNotOwner},
		"stopping":             {partitions.ErrStopped, nil, messages.CodeNotOwner},
		"renewed":              {partitions.ErrRenewed, nil, messages.CodeNotOwner},
	} {
		end := endOf(c.cause, c.replaced)
		if end.Code != c.want || end.Retryable() != (c.want != messages.CodeUnknownTopic) {
			t.Errorf("%s: %v", name, end)
		}
	}
}

func TestMessageForAnotherTopicOfTheNameIsRefused(t *testing.T) {
	topic := messages.Topic{TopicConfig: messages.TopicConfig{Name: "orders"}, ID: 1<<63 + 5}
	for text, want := range map[string]messages.Code{
		"": messages.CodeOK, strconv.FormatUint(topic.ID, 10): messages.CodeOK, "7": messages.CodeUnknownTopic,
		"x": messages.CodeHeaderInvalid, "-1": messages.CodeHeaderInvalid,
	} {
		header := nats.Header{}
		if text != "" {
			header[messages.HeaderTopicID] = []string{text}
		}
		got := messages.CodeOK
		if err := checkTopicID(header, topic); err != nil {
			got = err.Code
		}
		if got != want {
			t.Errorf("topic id %q: code %d, want %d", text, got, want)
		}
	}
}
