package protocol

import (
	"fmt"
	"strconv"
	"strings"
)

// Public subjects, to which clients need rights.
const (
	ProducePrefix = "laneway.produce."
	// PublicWildcard is all public subjects.
	PublicWildcard = "laneway.>"
	FetchPrefix    = "laneway.fetch."
	// CreditPrefix starts the subjects on which a client grants credit to an open fetch.
	CreditPrefix = "laneway.credit."
	// TopicAPI starts the subjects of the topic administration: TopicAPI + "create" and so on.
	TopicAPI = "laneway.api.topic."
	// ProducerAPI starts the subjects of the producer API: ProducerAPI + "init" and so on.
	ProducerAPI = "laneway.api.producer."
)

// InternalPrefix starts the subjects to which only the services need rights.
const InternalPrefix = "_laneway."

const (
	streamPrefix        = "LANEWAY-"
	maxTopicName        = 64
	topicNameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)

// Partition names one partition of one incarnation of a topic. Epochs, terms
// and sequences start again when a topic is deleted and created again, so the
// topic's id takes part in every comparison. So does the incarnation of the
// partition's log: a log that lost entries is continued in another stream.
type Partition struct {
	Topic   string
	TopicID uint64
	Number  int32
	// Incarnation counts the streams that have held the partition's log, from 0.
	Incarnation uint32
}

// String returns the form used in logs: topic/partition.
func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Number) }

// ProduceSubject is where producers of the partition send.
func (p Partition) ProduceSubject() string { return ProducePrefix + p.token() }

// FetchSubject is where consumers of the partition ask.
func (p Partition) FetchSubject() string { return FetchPrefix + p.token() }

// token is the part of a subject that names the partition.
func (p Partition) token() string { return p.Topic + "." + strconv.Itoa(int(p.Number)) }

// Stream is the name by which clients know the partition's log. It stays the same
// when the log is continued in another stream.
func (p Partition) Stream() string {
	return streamPrefix + p.Topic + "-" + strconv.Itoa(int(p.Number))
}

// ValidTopicName says whether a name may name a topic: 1 to 64 letters, digits,
// underscores and hyphens, so that it is one token of a subject and a part of a
// stream's name.
func ValidTopicName(name string) bool {
	if name == "" || len(name) > maxTopicName {
		return false
	}
	return strings.Trim(name, topicNameCharacters) == ""
}

// ReplyTo returns where a request's answer may go; empty is nowhere. Answers are
// published with the rights of the service, and NATS checks those of a client for
// the subject of its request alone: a reply subject could reach a log, a bucket
// or an API that the client has no rights to.
func ReplyTo(reply string) string {
	for _, reserved := range []string{"$", "_laneway.", "laneway."} {
		if strings.HasPrefix(reply, reserved) {
			return ""
		}
	}
	return reply
}
