package produce

import (
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"laneway.dev/pkg/protocol"
)

// boundSubject returns the subject that a message was sent to, if that is one that its topic
// is bound to; empty if it is the produce subject. The topic may have been bound to another
// subject in the meantime.
func boundSubject(m *nats.Msg) string {
	if strings.HasPrefix(m.Subject, protocol.ProducePrefix) {
		return ""
	}
	return m.Subject
}

// subjectsOf returns all subjects on which requests for a partition arrive. The produce subject
// is the last one, so that little time passes until another subscription to it is left.
func subjectsOf(topic protocol.Topic, id protocol.Partition) []string {
	return append(slices.Clone(topic.Subjects), id.ProduceSubject())
}
