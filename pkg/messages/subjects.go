package messages

import (
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

// Internal subjects, to which only the services need rights.
const (
	InternalPrefix     = "_laneway."
	StageSubject       = "_laneway.stage"
	StagerQueue        = "stagers"
	FrontendQueue      = "frontends"
	SequencerWildcard  = "_laneway.sequencer.>"
	ReplicatorWildcard = "_laneway.replicator.>"
	// SequencerProbe and ReplicatorProbe reach the role whatever partitions there are;
	// StageSubject reaches a stager.
	SequencerProbe  = "_laneway.sequencer.probe"
	ReplicatorProbe = "_laneway.replicator.probe"
	// ProbePrefix starts the reply subjects of probes: messages without data, which
	// every service answers with another one.
	ProbePrefix         = "_laneway.probe."
	CommittedWildcard   = "_laneway.committed.>"
	streamPrefix        = "LANEWAY-"
	sequencerPrefix     = "_laneway.sequencer."
	replicatorPrefix    = "_laneway.replicator."
	committedPrefix     = "_laneway.committed."
	frontendPrefix      = "_laneway.frontend."
	LogWildcard         = "_laneway.log.>"
	logPrefix           = "_laneway.log."
	maxTopicName        = 64
	topicNameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)

func (p Partition) subject(prefix string) string {
	return prefix + p.Topic + "." + strconv.Itoa(int(p.Number))
}

// ProduceSubject is where producers of the partition send.
func (p Partition) ProduceSubject() string { return p.subject(ProducePrefix) }

// FetchSubject is where consumers of the partition ask.
func (p Partition) FetchSubject() string { return p.subject(FetchPrefix) }

// SequencerSubject reaches the partition's sequencer.
func (p Partition) SequencerSubject() string { return p.subject(sequencerPrefix) }

// ReplicatorSubject reaches the partition's replicator.
func (p Partition) ReplicatorSubject() string { return p.subject(replicatorPrefix) }

// CommittedSubject carries what the partition's replicator has committed.
func (p Partition) CommittedSubject() string { return p.subject(committedPrefix) }

// LogSubject is the only subject of the partition's log stream. It names the
// topic's id and the incarnation of the log, so that a late append of an older
// owner cannot land in a log that has taken the place of its own: nothing listens
// to its subject any more.
func (p Partition) LogSubject() string {
	subject := p.subject(logPrefix) + "." + strconv.FormatUint(p.TopicID, 16)
	if p.Incarnation > 0 {
		subject += "." + strconv.FormatUint(uint64(p.Incarnation), 10)
	}
	return subject
}

// LogsOf returns the subjects of all logs of topics of a name, also of deleted ones.
func LogsOf(topic string) string { return logPrefix + topic + ".>" }

// Stream is the name by which clients know the partition's log. It stays the same
// when the log is continued in another stream.
func (p Partition) Stream() string {
	return streamPrefix + p.Topic + "-" + strconv.Itoa(int(p.Number))
}

// LogStream is the name of the stream that holds the partition's log. What follows the
// last hyphen is a number for the first incarnation and has an underscore for the
// others, so that no two partitions share a name: topic a-1 has a partition 2, too.
func (p Partition) LogStream() string {
	if p.Incarnation == 0 {
		return p.Stream()
	}
	return p.Stream() + "_" + strconv.FormatUint(uint64(p.Incarnation), 10)
}

// FrontendSubject reaches the frontend that owns an epoch. Frontend epochs are
// unique in a deployment, so the epoch is its address.
func FrontendSubject(epoch uint64) string {
	return frontendPrefix + strconv.FormatUint(epoch, 10)
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
