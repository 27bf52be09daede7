package produce

import (
	"strings"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// boundSubject returns the subject that a message was sent to, if the topic is bound to it;
// empty if it is the produce subject.
func boundSubject(m *nats.Msg, topic protocol.Topic) string {
	if len(topic.Subjects) == 0 || strings.HasPrefix(m.Subject, protocol.ProducePrefix) {
		return ""
	}
	return m.Subject
}
