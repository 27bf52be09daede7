package produce

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

func TestMessageForOtherTopicIDIsRefused(t *testing.T) {
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
