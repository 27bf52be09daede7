package messages

import (
	"fmt"
	"strconv"
	"strings"

	"laneway.dev/pkg/protocol"
)

// Internal subjects, to which only the services need rights.
const (
	StageSubject   = "_laneway.stage"
	StagerQueue    = "stagers"
	ArchiveSubject = "_laneway.archive"
	ArchiverQueue  = "archivers"
	// ArchiverStarted is where an archiver says that it has started, by an empty message, so that
	// replicators send their jobs again that no archiver has taken.
	ArchiverStarted    = "_laneway.archiver.started"
	FrontendQueue      = "frontends"
	SequencerWildcard  = "_laneway.sequencer.>"
	ReplicatorWildcard = "_laneway.replicator.>"
	// AliveWildcard covers the subjects on which stagers announce that they are alive.
	AliveWildcard = alivePrefix + "*"
	// SequencerProbe and ReplicatorProbe reach the role even if there are no partitions.
	// A probe of a stager is sent to StageSubject, and one of an archiver to ArchiveSubject.
	SequencerProbe  = "_laneway.sequencer.probe"
	ReplicatorProbe = "_laneway.replicator.probe"
	// ProbePrefix starts the reply subjects of probes: messages without data, which
	// every service answers, most with another one.
	ProbePrefix = "_laneway.probe."
	// ProbeArchives is the data with which a replicator answers a probe if it has its logs archived.
	ProbeArchives     = "archives"
	CommittedWildcard = "_laneway.committed.>"
	sequencerPrefix   = "_laneway.sequencer."
	replicatorPrefix  = "_laneway.replicator."
	committedPrefix   = "_laneway.committed."
	frontendPrefix    = "_laneway.frontend."
	askerPrefix       = "_laneway.asker."
	stagerPrefix      = "_laneway.stager."
	alivePrefix       = "_laneway.alive."
)

func ofLog(prefix string, p protocol.Partition) string { return prefix + strconv.Itoa(int(p.Log)) }

// SequencerSubject reaches the sequencer of the partition's log.
func SequencerSubject(p protocol.Partition) string { return SequencerLogSubject(p.Log) }

// SequencerLogSubject reaches the sequencer of a log.
func SequencerLogSubject(log uint16) string { return sequencerPrefix + strconv.Itoa(int(log)) }

// ReplicatorSubject reaches the replicator of the partition's log.
func ReplicatorSubject(p protocol.Partition) string { return ReplicatorLogSubject(p.Log) }

// ReplicatorLogSubject reaches the replicator of a log.
func ReplicatorLogSubject(log uint16) string { return replicatorPrefix + strconv.Itoa(int(log)) }

// CommittedSubject carries what the replicators have committed to the partition's log.
func CommittedSubject(p protocol.Partition) string { return ofLog(committedPrefix, p) }

func topicID(id uint64) string { return fmt.Sprintf("%016x", id) }

// LogName is the name of the partition's log. It has the topic's id, so that a topic that is created
// again shares no log with the one before. Clients know the log by another name, that of
// protocol.Partition.Stream.
func LogName(p protocol.Partition) string {
	s := topicID(p.TopicID) + "-" + strconv.Itoa(int(p.Number))
	if p.Incarnation > 0 {
		s += "_" + strconv.FormatUint(uint64(p.Incarnation), 10)
	}
	return s
}

// JournalStreamPrefix is what the names of all journals begin with, and JournalWildcard has all of their subjects.
const (
	JournalStreamPrefix = "LANEWAY_JOURNAL-"
	JournalWildcard     = journalPrefix + "*"

	journalPrefix = "_laneway.journal."
)

// JournalStream is the name of the stream that has the journal of a log.
func JournalStream(log uint16) string { return JournalStreamPrefix + strconv.Itoa(int(log)) }

// JournalSubject is the only subject of a journal.
func JournalSubject(log uint16) string { return journalPrefix + strconv.Itoa(int(log)) }

// MarksStreamPrefix is what the names of all streams with marks begin with, and MarksWildcard has all of their
// subjects.
const (
	MarksStreamPrefix = "LANEWAY_MARKS-"
	MarksWildcard     = marksPrefix + "*"

	marksPrefix = "_laneway.marks."
)

// MarksStream is the name of the stream that has the marks of a log's partitions.
func MarksStream(log uint16) string { return MarksStreamPrefix + strconv.Itoa(int(log)) }

// MarksSubject is the only subject of that stream.
func MarksSubject(log uint16) string { return marksPrefix + strconv.Itoa(int(log)) }

// FrontendSubject reaches the frontend that owns the partition's log in an epoch.
func FrontendSubject(p protocol.Partition, epoch uint64) string {
	return ofLog(frontendPrefix, p) + "." + strconv.FormatUint(epoch, 10)
}

// FrontendWildcard covers the subjects of an epoch on all logs.
func FrontendWildcard(epoch uint64) string {
	return frontendPrefix + "*." + strconv.FormatUint(epoch, 10)
}

// AskerSubject reaches a frontend that has asked replicators for something, by a number that it has drawn.
func AskerSubject(asker uint64) string { return askerPrefix + strconv.FormatUint(asker, 10) }

// StagerSubject reaches one stager, by its name. A frontend uses it to have a batch staged
// again by another stager than the one that is silent or has refused the batch.
func StagerSubject(name string) string { return stagerPrefix + name }

// AliveSubject is the subject on which a stager announces that it is alive. An announcement
// has no data: its subject has the name of the stager, and it concerns no partition.
func AliveSubject(name string) string { return alivePrefix + name }

// ParseAliveSubject returns the name of the stager that an announcement is from.
func ParseAliveSubject(subject string) string { return strings.TrimPrefix(subject, alivePrefix) }
