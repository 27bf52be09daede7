package messages

import (
	"errors"
	"strconv"
	"strings"

	"laneway.dev/pkg/protocol"
)

// Internal subjects, to which only the services need rights.
const (
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
	ProbePrefix       = "_laneway.probe."
	CommittedWildcard = "_laneway.committed.>"
	sequencerPrefix   = "_laneway.sequencer."
	replicatorPrefix  = "_laneway.replicator."
	committedPrefix   = "_laneway.committed."
	frontendPrefix    = "_laneway.frontend."
	LogWildcard       = "_laneway.log.>"
	logPrefix         = "_laneway.log."
)

func subject(prefix string, p protocol.Partition) string {
	return prefix + p.Topic + "." + strconv.Itoa(int(p.Number))
}

// SequencerSubject reaches the partition's sequencer.
func SequencerSubject(p protocol.Partition) string { return subject(sequencerPrefix, p) }

// ReplicatorSubject reaches the partition's replicator.
func ReplicatorSubject(p protocol.Partition) string { return subject(replicatorPrefix, p) }

// CommittedSubject carries what the partition's replicator has committed.
func CommittedSubject(p protocol.Partition) string { return subject(committedPrefix, p) }

// LogSubject is the only subject of the partition's log stream. It names the
// topic's id and the incarnation of the log, so that a late append of an older
// owner cannot land in a log that has taken the place of its own: nothing listens
// to its subject any more.
func LogSubject(p protocol.Partition) string {
	s := subject(logPrefix, p) + "." + strconv.FormatUint(p.TopicID, 16)
	if p.Incarnation > 0 {
		s += "." + strconv.FormatUint(uint64(p.Incarnation), 10)
	}
	return s
}

// LaterLogs returns the subjects of the incarnations of a partition's log after the first.
func LaterLogs(p protocol.Partition) string {
	p.Incarnation = 0
	return LogSubject(p) + ".*"
}

// ParseLogSubject returns the partition of a log from its subject; false if it is none.
func ParseLogSubject(subject string) (protocol.Partition, bool) {
	rest, ok := strings.CutPrefix(subject, logPrefix)
	tokens := strings.Split(rest, ".")
	if !ok || len(tokens) < 3 || len(tokens) > 4 {
		return protocol.Partition{}, false
	}
	number, numberErr := strconv.ParseInt(tokens[1], 10, 32)
	id, idErr := strconv.ParseUint(tokens[2], 16, 64)
	p := protocol.Partition{Topic: tokens[0], TopicID: id, Number: int32(number)}
	if len(tokens) == 4 {
		n, err := strconv.ParseUint(tokens[3], 10, 32)
		p.Incarnation, idErr = uint32(n), errors.Join(idErr, err)
	}
	return p, numberErr == nil && idErr == nil && number >= 0 && LogSubject(p) == subject
}

// LogsOf returns the subjects of all logs of topics of a name, also of deleted ones.
func LogsOf(topic string) string { return logPrefix + topic + ".>" }

// LogStream is the name of the stream that holds the partition's log. What follows the
// last hyphen is a number for the first incarnation and has an underscore for the
// others, so that no two partitions share a name: topic a-1 has a partition 2, too.
func LogStream(p protocol.Partition) string {
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
