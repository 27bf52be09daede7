package protocol

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Public subjects. Clients need permissions for them.
const (
	ProducePrefix = "laneway.produce."
	// PublicWildcard matches all public subjects.
	PublicWildcard = "laneway.>"
	FetchPrefix    = "laneway.fetch."
	// CreditPrefix is the prefix of the subjects on which a consumer grants credit.
	CreditPrefix = "laneway.credit."
	// TopicAPI is the prefix of the topic API: TopicAPI + "create", "update", "truncate", "list",
	// "info", "delete".
	TopicAPI = "laneway.api.topic."
	// ProducerAPI is the prefix of the producer API: ProducerAPI + "init", "list", "info".
	ProducerAPI = "laneway.api.producer."
)

// InternalPrefix is the prefix of the subjects between services. Clients MUST NOT have
// permissions for them.
const InternalPrefix = "_laneway."

const (
	streamPrefix        = "LANEWAY-"
	maxTopicName        = 64
	topicNameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)

// Partition names a partition of a topic. A topic that was deleted and created again has
// the same name and other contents, so the topic's id takes part in every comparison.
// So does the incarnation of the partition's log: after an accepted loss, the log
// continues in another stream.
type Partition struct {
	Topic   string
	TopicID uint64
	Number  int32
	// Incarnation counts the streams that have held the partition's log, from 0.
	Incarnation uint32
	// Log is the number of the log that the partition belongs to; see Topic.Partition. Subjects and
	// actors of services go by it. Stored formats do not have it.
	Log uint16
}

// logOf returns the log of a partition: the FNV-1a hash, 64 bits, of the topic's id and the number
// of the partition, 8 and 4 bytes, little-endian, modulo the number of logs. The partitions of one
// topic are spread evenly if the number of logs is a power of two.
func logOf(topic uint64, number int32, logs int) uint16 {
	if logs <= 1 {
		return 0
	}
	key := binary.LittleEndian.AppendUint64(make([]byte, 0, 12), topic)
	key = binary.LittleEndian.AppendUint32(key, uint32(number))
	hash := fnv.New64a()
	_, _ = hash.Write(key) // never fails
	return uint16(hash.Sum64() % uint64(logs))
}

// String returns the partition as it is written in log lines and errors: topic/number.
func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Number) }

// ProduceSubject returns the subject to which producers of the partition send.
func (p Partition) ProduceSubject() string { return ProducePrefix + p.token() }

// FetchSubject returns the subject of fetch requests for the partition.
func (p Partition) FetchSubject() string { return FetchPrefix + p.token() }

// token returns the part of a subject that names the partition.
func (p Partition) token() string { return p.Topic + "." + strconv.Itoa(int(p.Number)) }

// Stream returns the name of the partition's log in acknowledgements. No stream of
// JetStream has this name.
func (p Partition) Stream() string {
	return streamPrefix + p.Topic + "-" + strconv.Itoa(int(p.Number))
}

// ValidTopicName reports whether a topic may have the name: 1 to 64 letters, digits,
// underscores and hyphens, so that it is one token of a subject and a part of a
// stream's name.
func ValidTopicName(name string) bool {
	if name == "" || len(name) > maxTopicName {
		return false
	}
	return strings.Trim(name, topicNameCharacters) == ""
}

// ReplyTo returns the subject for the answer to a request, or "" if the request must not
// be answered. Answers are published with the permissions of the service, and NATS checks
// those of the client for the subject of its request only. Without this check, a reply
// subject could reach a log, a bucket or an API for which the client has no permissions.
func ReplyTo(reply string) string {
	for _, reserved := range []string{"$", "_laneway.", "laneway."} {
		if strings.HasPrefix(reply, reserved) {
			return ""
		}
	}
	return reply
}
